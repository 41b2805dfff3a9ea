"""Room files for a swarm's own server: wards of any number and size, with furniture, things, seats and beds.

Owns the text of those files. Never reads one.
"""

from pathlib import Path

ROLES = '["patient", "clinician", "carer", "student", "observer", "operator"]'
THINGS = (("clipboard", "Clipboard"), ("cup", "Cup"), ("stethoscope", "Stethoscope"), ("tablet", "Tablet"))
PLACE_M2 = 3.0  # floor for each person
CAPACITY_SPARE = 4


def room_slug(index: int) -> str:
    """Name of the swarm's room number `index`."""
    return f"swarm-{index + 1:03d}"


def side_m(people: int) -> float:
    """Length of a square room's wall for so many people, metres: at least 8, at most 60."""
    return float(min(60.0, max(8.0, round((people * PLACE_M2) ** 0.5 * 2) / 2 + 3.0)))


def _bed(number: int, side: float) -> str:
    x = -side / 2 + 1.4 + 2.6 * number
    return f"""
[[bed]]
id = "bed-{number + 1}"
at = [{x:.2f}, {-side / 2 + 1.3:.2f}]
[bed.patient]
name = "Model {number + 1}"
sex = "{"female" if number % 2 else "male"}"
age_y = {40 + 7 * number}
height_cm = 172
weight_kg = 71
"""


def room_text(index: int, rooms: int, people: int, beds: int) -> str:
    """The TOML of one ward; doors lead round all of them."""
    side = side_m(people)
    half = side / 2
    beds_max = max(0, int((side - 2.0) // 2.6))
    text = [f"""title = "Swarm ward {index + 1}"
kind = "ward"
size_m = [{side}, 3.0, {side}]
capacity = {people + CAPACITY_SPARE}
enter = {ROLES}
speak = {ROLES}
grab = {ROLES}
see_twin = ["clinician", "student"]
order = ["clinician"]
moderate = ["operator"]

[[box]]
kind = "table"
at = [0.0, 0.0]
size_m = [1.6, 0.8, 0.9]

[[box]]
kind = "cabinet"
at = [{half - 0.4:.2f}, {half / 2:.2f}]
size_m = [0.6, 1.8, 1.6]
"""]  # fmt: skip
    spawns = min(8, max(1, people // 3))
    for number in range(spawns):
        x = -half + 1.0 + (side - 2.0) * (number + 0.5) / spawns
        text.append(f"[[spawn]]\nat = [{x:.2f}, {half - 1.2:.2f}]\n")
    for number, (kind, name) in enumerate(THINGS):
        text.append(f'[[thing]]\nkind = "{kind}"\nname = "{name}"\nat = [{-0.6 + 0.4 * number:.2f}, 0.85, 0.3]\n')
    for number in range(2):
        text.append(f"[[seat]]\nat = [{-half + 1.0 + number:.2f}, {half / 2:.2f}]\nfacing_deg = 0.0\n")
    text += [_bed(number, side) for number in range(min(beds, beds_max))]
    if rooms > 1:
        text.append(f'[[door]]\nto = "{room_slug((index + 1) % rooms)}"\nat = [{half:.2f}, 0.0]\nfacing_deg = 90.0\n')
    return "\n".join(text)


def write_rooms(folder: Path, rooms: int, people: int, beds: int) -> list[str]:
    """Write `rooms` files for `people` each; their slugs."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(rooms):
        (folder / f"{room_slug(index)}.toml").write_text(room_text(index, rooms, people, beds))
    return [room_slug(index) for index in range(rooms)]
