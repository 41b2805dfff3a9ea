"""Asclepion as one of those compared: the real ledger, shard and edge with everything on, under the same generator.

Owns starting them on the counted core, and the hellos of everybody: keys, tokens and proofs made beforehand, so that
the generator only has to send bytes. What clients see is judged by `tools.peers.ours_seen`.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from zmq.utils import z85

from server.config import Limits
from server.net.hello import make_hello
from server.net.keys import load_or_make_curve, load_or_make_token_key
from server.net.messages import encoder
from server.net.protocol import SUBPROTOCOL
from server.net.token import Claims, TokenDesk
from server.pacer import PHASES
from tools.peers.contest import ContestError, Spent, drive, free_port, workshop
from tools.peers.entrants import Load, upgrade
from tools.peers.motion import HZ, wire_poses
from tools.peers.ours_seen import judge
from tools.peers.pinned import SERVER_CORE, on_core
from tools.peers.plan import SEQ_LITTLE, WEBSOCKET, ZMTP_CURVE, Errand, Found, Speech
from tools.peers.verdict import Figures, figures
from tools.swarm_house import House, HouseError, prime, read_stats
from tools.swarm_rooms import ROLES, plan_rooms, room_slug, side_m, write_rooms

WARD_PEOPLE_MAX = 60
TOKEN_VALID_S = 600.0
ENTER_S = 120.0
OPENING_MAX = 48
SPAWNS_MAX = 400
SNAPSHOT = b"\x01"
SEQ_AT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How clients come to us, and what is switched."""

    name: str
    what: str
    edge: bool
    settings: tuple[tuple[str, str], ...] = ()
    rooms_from: int = 0  # of no interest in smaller rooms: there it is the same as another way


NATIVE = Way(name="ours-native", what="**Asclepion**, native: ZeroMQ + CURVE, everything on", edge=False)
EDGE = Way(name="ours-edge", what="**Asclepion**, through an edge: WebSocket, everything on", edge=True)
WHOLE = Way(name="ours-edge-whole", what="Asclepion, through an edge, without interest: everybody gets everybody",
            edge=True, settings=(("limits.view_people_max", "4096"),), rooms_from=WARD_PEOPLE_MAX + 1)  # fmt: skip


def hall_text(people: int, side: float) -> str:
    """The room file of one hall for so many, `side` metres square, who come in spread over its floor."""
    across = max(1, round(min(people, SPAWNS_MAX) ** 0.5))
    steps = [-side / 2 + side * (i + 0.5) / across for i in range(across)]
    spawns = "".join(f"\n[[spawn]]\nat = [{x:.2f}, {z:.2f}]\n" for z in steps for x in steps)
    return f"""title = "Hall"
kind = "lecture"
size_m = [{side}, 4.0, {side}]
capacity = {people}
enter = {ROLES}
speak = {ROLES}
{spawns}"""


def write_house(folder: Path, load: Load) -> list[str]:
    """The room files of a load; their slugs."""
    if load.room <= WARD_PEOPLE_MAX:
        plans = plan_rooms("ward", load.clients, -(-load.clients // load.room), 0)
        write_rooms(folder, plans)
        return [plan.slug for plan in plans]
    folder.mkdir(parents=True)
    for index in range(-(-load.clients // load.room)):
        (folder / f"{room_slug(index)}.toml").write_text(hall_text(load.room, side_m(load.room)))
    return [room_slug(index) for index in range(-(-load.clients // load.room))]


def hellos(data: Path, load: Load, slugs: list[str]) -> list[bytes]:
    """Everybody's first frame: a person with a key of their own and a join token of this house."""
    desk = TokenDesk(load_or_make_token_key(data / "keys"), Limits(token_valid_s=TOKEN_VALID_S))
    out = []
    for number in range(load.clients):
        claims = Claims(slugs[number // load.room], "clinician", f"Bot {number}")
        token = desk.mint_join(claims, time.time())
        out.append(encoder.encode(make_hello(Ed25519PrivateKey.generate(), token=token)))
    return out


def speech(way: Way) -> Speech:
    """Our protocol: poses of 39 bytes upwards, snapshots downwards."""
    poses = tuple(row.tobytes() for row in wire_poses())
    return Speech(framing=WEBSOCKET if way.edge else ZMTP_CURVE, poses=poses, seq_mode=SEQ_LITTLE, seq_at=SEQ_AT,
                  view_bytes=SNAPSHOT, record_all=True)  # fmt: skip


def _settings(way: Way, load: Load, rooms: Path, native: int, edge: int) -> dict[str, str]:
    return {
        "native": f"tcp://127.0.0.1:{native}", "rooms": str(rooms), "demo": "false", "tick_hz": str(HZ),
        "edge_port": str(edge), "admin_port": "0", "limits.avatars_max": str(max(64, load.clients + 16)),
        "limits.rooms_max": str(max(64, -(-load.clients // load.room))), **dict(way.settings),
    }  # fmt: skip


def _errand(way: Way, load: Load, data: Path, slugs: list[str], port: int) -> Errand:
    key = z85.decode(load_or_make_curve(data / "keys").public.encode()) if not way.edge else b""
    opening = [upgrade("/ws", port, SUBPROTOCOL) if way.edge else b""] * load.clients
    return Errand(speech=speech(way), port=port, opening=opening, hello=hellos(data, load, slugs), warm_s=load.warm_s,
                  run_s=load.run_s, sampled=load.sampled, patience_s=ENTER_S, opening_max=OPENING_MAX,
                  server_key=key)  # fmt: skip


def _drive(way: Way, load: Load, folder: Path) -> tuple[Found, Spent]:
    native, edge = free_port(), free_port()
    slugs = write_house(folder / "rooms", load)
    settings = _settings(way, load, folder / "rooms", native, edge)
    with on_core(SERVER_CORE):
        house = House(folder / "data", settings, ("ledger", "shard", "edge") if way.edge else ("ledger", "shard"))
    with house:
        house.wait_ready(lambda text: None)
        errand = _errand(way, load, folder / "data", slugs, edge if way.edge else native)
        return drive(errand, house.pids(), folder)


def phases_us(stats: dict[str, float], clients: int) -> dict[str, float]:
    """Median wall time of each phase of the shard's tick, microseconds per client."""
    return {phase: 1000.0 * stats.get(f"phase_{phase}_ms_p50", 0.0) / clients for phase in PHASES}


def run(way: Way, load: Load) -> Figures:
    """One run of ours. Raises ContestError and BuildError."""
    prime(lambda text: None)
    with workshop() as folder:
        try:
            found, spent = _drive(way, load, folder)
        except HouseError as error:
            raise ContestError(str(error)) from None
        sight, rows = judge(found, folder / "data" / "world", load)
        out = figures(way.name, load.room, found.counted, sight, sum(spent.server_s.values()), spent.others_s)
        out.bytes_per_update = found.counted.bytes / (found.counted.views * rows) if found.counted.views else 0.0
        out.parts = {part: seconds / found.counted.seconds for part, seconds in spent.server_s.items()}
        out.phases = phases_us(read_stats(folder / "data"), load.clients)
        out.memory_kb, out.note = spent.memory_kb, found.counted.failure
        return out
