"""Room files for a swarm's own server: wards, consulting rooms, halls and lecture halls of any number and size.

Owns which rooms a scene has and the text of their files. Never reads one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tools.scenes import SceneName

ROLES = '["patient", "clinician", "carer", "student", "observer", "operator"]'
THINGS = (("clipboard", "Clipboard"), ("cup", "Cup"), ("stethoscope", "Stethoscope"), ("tablet", "Tablet"))
PLACE_M2 = 3.0  # floor for each person
SIDE_M_MAX = 64.0
HALL_SIDE_M = 24.0  # from here on there are tables all over a hall, between where people come in
CAPACITY_SPARE = 4
VIEW_PEOPLE = 60  # of more a room becomes a hall, whatever its scene
WARD_PEOPLE, CONSULT_PEOPLE = 20, 4
SEATS_MAX, SEAT_M = 256, 0.9
KINDS: dict[str, str] = {"ward": "ward", "consult": "consult", "hall": "lobby", "lecture": "lecture"}


class RoomPlan(NamedTuple):
    """One room: what happens in it, for how many people, and its beds."""

    slug: str
    scene: str  # ward, consult, hall or lecture
    people: int
    beds: int


def room_slug(index: int) -> str:
    """Name of the swarm's room number `index`."""
    return f"swarm-{index + 1:03d}"


def plan_rooms(scene: SceneName, bots: int, rooms: int, beds: int) -> list[RoomPlan]:
    """The rooms of a scene. `rooms` 0: as many as the scene wants; of a mixed scene the first is the hall."""
    if scene == "mixed":
        hall, wards = max(2, bots // 2), max(1, -(-bots // 4 // WARD_PEOPLE))
        consults = max(1, -(-bots // 4 // CONSULT_PEOPLE))
        rest = [("ward", WARD_PEOPLE, 2)] * wards + [("consult", CONSULT_PEOPLE, 0)] * min(consults, 200)
        kinds = [("hall", hall, 0), *rest]
    else:
        wanted = {"ward": -(-bots // WARD_PEOPLE), "consult": -(-bots // CONSULT_PEOPLE)}.get(scene, 1)
        count = rooms or min(wanted, 250)
        kinds = [(scene, -(-bots // count), beds)] * count
    return [RoomPlan(room_slug(i), *kind) for i, kind in enumerate(kinds)]


def seated_in(plans: Sequence[RoomPlan], bots: int) -> list[str]:
    """The room of each bot, rooms filled one after the other."""
    seats = [plan.slug for plan in plans for _ in range(plan.people)]
    while len(seats) < bots:
        seats += [plan.slug for plan in plans]
    return seats[:bots]


def side_m(people: int) -> float:
    """Length of a square room's wall for so many people, metres: at least 8, at most 64."""
    return float(min(SIDE_M_MAX, max(8.0, round((people * PLACE_M2) ** 0.5 * 2) / 2 + 3.0)))


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


def _box(kind: str, x: float, z: float, size: tuple[float, float, float]) -> str:
    return f'[[box]]\nkind = "{kind}"\nat = [{x:.2f}, {z:.2f}]\nsize_m = [{size[0]}, {size[1]}, {size[2]}]\n'


def _furniture(plan: RoomPlan, side: float) -> list[str]:
    half = side / 2
    if plan.scene == "lecture":
        return [_box("podium", 0.0, -half + 1.6, (1.2, 1.1, 0.6))]
    cabinet = _box("cabinet", half - 0.4, half / 2, (0.6, 1.8, 1.6))
    if plan.scene != "hall" or side < HALL_SIDE_M:
        return [_box("table", 0.0, 0.0, (1.6, 0.8, 0.9)), cabinet]
    places = [(-0.457, -0.457), (0.457, -0.457), (-0.457, 0.457), (0.457, 0.457), (0.0, 0.0)]
    return [_box("table", x * half, z * half, (1.6, 0.8, 0.9)) for x, z in places] + [cabinet]


def _spawns(plan: RoomPlan, side: float) -> list[str]:
    half = side / 2
    if plan.people <= VIEW_PEOPLE:
        count = min(8, max(1, plan.people // 3))
        return [f"[[spawn]]\nat = [{-half + 1.0 + (side - 2.0) * (n + 0.5) / count:.2f}, {half - 1.2:.2f}]\n"
                for n in range(count)]  # fmt: skip
    low = 0.1 if plan.scene == "lecture" else -0.8
    return [f"[[spawn]]\nat = [{half * (-0.8 + 1.6 * x / 7):.2f}, {half * (low + (0.8 - low) * z / 7):.2f}]\n"
            for z in range(8) for x in range(8)]  # fmt: skip


def _seats(plan: RoomPlan, side: float) -> list[str]:
    """Rows before the podium in a lecture hall; two chairs elsewhere."""
    half = side / 2
    if plan.scene != "lecture":
        return [f"[[seat]]\nat = [{-half + 1.0 + n:.2f}, {half / 2:.2f}]\nfacing_deg = 0.0\n" for n in range(2)]
    columns = int((side - 3.0) / SEAT_M)
    return [f"[[seat]]\nat = [{(n % columns - (columns - 1) / 2) * SEAT_M:.2f}, {-half + 4.0 + n // columns:.2f}]\n"
            "facing_deg = 0.0\n" for n in range(min(SEATS_MAX, plan.people))]  # fmt: skip


def room_text(plan: RoomPlan, next_slug: str) -> str:
    """The TOML of one room, with a door to `next_slug`; "" is no door."""
    side = side_m(plan.people)
    half = side / 2
    text = [f"""title = "Swarm {plan.scene} {plan.slug}"
kind = "{KINDS[plan.scene]}"
size_m = [{side}, 3.0, {side}]
capacity = {plan.people + CAPACITY_SPARE}
enter = {ROLES}
speak = {ROLES}
grab = {ROLES}
see_twin = ["clinician", "student"]
order = ["clinician"]
moderate = ["operator"]
present = ["clinician"]
"""]  # fmt: skip
    text += _furniture(plan, side) + _spawns(plan, side)
    for number, (kind, name) in enumerate(THINGS):
        text.append(f'[[thing]]\nkind = "{kind}"\nname = "{name}"\nat = [{-0.6 + 0.4 * number:.2f}, 0.85, 0.3]\n')
    text += _seats(plan, side)
    text += [_bed(number, side) for number in range(min(plan.beds, max(0, int((side - 2.0) // 2.6))))]
    if next_slug:
        text.append(f'[[door]]\nto = "{next_slug}"\nat = [{half:.2f}, 0.0]\nfacing_deg = 90.0\n')
    return "\n".join(text)


def write_rooms(folder: Path, plans: Sequence[RoomPlan]) -> None:
    """Write the rooms' files; doors lead round all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, plan in enumerate(plans):
        beyond = plans[(index + 1) % len(plans)].slug if len(plans) > 1 else ""
        (folder / f"{plan.slug}.toml").write_text(room_text(plan, beyond))
