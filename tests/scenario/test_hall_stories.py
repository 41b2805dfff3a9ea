"""Who sees whom in a hall, through the real protocol: near in full, far as heads, and nobody flickers in between."""

import numpy as np
import pytest

from server.config import Config, Limits
from server.net import link
from server.net.edgewire import Seen
from server.net.hello import make_hello
from server.net.messages import encoder
from server.net.token import Claims
from server.sim.frame import read_frame
from server.sim.grid import FAR, HERO_CELL, neighbours
from server.sim.poses import SPEAKING
from server.sim.snapshot import view_of
from server.world.commands import Grab, Moderate, Offer
from tools.client import Client
from tools.frames import FrameReader

ALL = '["patient", "clinician", "carer", "student", "observer", "operator"]'
SPAWNS = [(-18.0, 0.0), (18.0, 0.0)]
HALL = f"""
title = "Great hall"
kind = "lecture"
size_m = [40.0, 4.0, 20.0]
capacity = 300
enter = {ALL}
speak = {ALL}
grab = {ALL}
see_twin = ["clinician"]
order = ["clinician"]
moderate = ["operator"]
present = ["clinician"]
"""
CUP = '\n[[thing]]\nkind = "cup"\nname = "Cup"\nat = [-18.0, 1.0, 0.4]\n'
SPEED = 2000  # mm/s


def spawn(x: float, z: float) -> str:
    return f"\n[[spawn]]\nat = [{x}, {z}]\n"


@pytest.fixture
def hall(tmp_path, raise_stage):
    """A stage with a hall whose two entrances, at both ends, are used in turn."""
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    (rooms / "hall.toml").write_text(HALL + CUP + "".join(spawn(*at) for at in SPAWNS))
    stage = raise_stage(tmp_path / "data", Config(data=str(tmp_path / "data")), rooms)
    yield stage
    stage.close()


def come(stage, *names, role="student"):
    """These come in, the first at the left end of the hall, the next at the right, and so on."""
    return [stage.connect(name, role, "hall") for name in names]


def slot(client: Client) -> int:
    assert client.room is not None
    return client.room.avatar & 0xFFF


def near(client: Client) -> set[int]:
    return set() if client.view is None else set(client.view.slots.tolist())


def test_two_people_apart_see_each_other_from_far_only(hall):
    one, other = come(hall, "left", "right")
    hall.tick(12)
    assert near(one) == {slot(one)} and near(other) == {slot(other)}
    assert set(one.seen.far) == {slot(other)}
    seen = one.seen.far[slot(other)].head_mm
    x, z = hall.position("right")
    assert abs(seen[0] - x) <= 8 and abs(seen[2] - z) <= 8


def test_who_leaves_the_hall_is_seen_by_nobody_a_third_of_a_second_later(hall):
    one, other = come(hall, "left", "right")
    hall.tick(12)
    gone = slot(other)
    other.leave()
    del hall.clients["right"]
    hall.tick(12)
    assert gone not in one.seen.everybody and set(one.seen.everybody) == {slot(one)}


def test_two_who_walk_towards_each_other_become_near_once_and_do_not_flicker_at_the_border(hall):
    one, other = come(hall, "left", "right")
    hall.tick(12)
    changes, before, dice = [], False, np.random.default_rng(4)
    for tick in range(420):
        if tick % 10 == 0:
            sway = int(dice.integers(-1, 2)) * SPEED if tick > 200 else SPEED  # at last they dither about a border
            one.send_pose(wish_mm_s=(sway, 0))
        hall.tick()
        now = slot(other) in near(one)
        if now != before:
            changes.append((tick, hall.position("left")[0]))
        before = now
        assert now or slot(other) in one.seen.far, "one or the other, in every tick"
    assert len(changes) <= 1
    assert not near(one) - {slot(one), slot(other)}


def test_a_speaker_of_the_hall_is_near_for_everybody_and_afterwards_far_again(hall):
    listener, _, speaker = come(hall, "left", "right", "third")
    doctor = hall.connect("doctor", "clinician", "hall")
    assert slot(doctor) not in near(listener)
    for _ in range(10):
        doctor.send_pose(flags=SPEAKING)
        hall.tick(2)
    assert slot(doctor) in near(listener) and slot(doctor) in near(speaker)
    assert HERO_CELL in listener.seen.blocks
    doctor.send_pose()
    hall.tick(90)
    assert slot(doctor) not in near(listener) and slot(doctor) in listener.seen.far


def test_who_is_offered_something_stays_near_the_one_who_holds_it_out(hall):
    giver, other, taker = come(hall, "left", "right", "taker")
    hall.tick(5)
    (cup,) = giver.things
    giver.ask(Grab, cup, 1, 0)
    hall.tick(5)
    giver.ask(Offer, 1, taker.room.avatar, 0)
    hall.tick(5)
    for tick in range(240):
        if tick % 10 == 0:
            taker.send_pose(wish_mm_s=(SPEED, 0))
        hall.tick()
        assert slot(giver) in near(taker) and slot(taker) in near(giver)
    assert hall.position("taker")[0] - hall.position("left")[0] > 12_000, "far out of the nine cells around"
    assert slot(other) not in near(giver)
    assert cup & 0xFFF in taker.view.thing_slots


# --- everybody, at every tick -----------------------------------------------------------------------------------------


class Watcher:
    """One of many in the hall, and since when each cell has been around them."""

    def __init__(self, stage, number: int) -> None:
        self.name = f"bot-{number}"
        self.client = stage.connect(self.name, "student", "hall", ticks=0)
        self.since: dict[int, int] = {}
        self.inside = 0

    def check(self, stage, truth, cells, due: int) -> int:
        """Compare what this one sees with the world; how many blocks were compared."""
        client, world = self.client, stage.world
        number = client.welcome.client
        around = neighbours(world.cells(0), world.cell_of(number))
        self.since = {cell: self.since.get(cell, world.tick) for cell in around}
        self.inside += 1
        compared = 0
        for cell, view in client.seen.blocks.items():
            assert cell in around, "nothing of a cell that is not in view"
            if view.tick == world.tick:
                np.testing.assert_array_equal(view.rows, truth.rows[cells == cell])
                compared += 1
        for cell in set(around) & set(cells.tolist()):
            if world.tick - self.since[cell] >= due:
                assert client.seen.blocks[cell].tick == world.tick, "after a keyframe interval it is there, every tick"
        seen = set(client.seen.everybody)
        if self.inside > due:
            assert seen == set(truth.slots.tolist())
        return compared


def test_a_hundred_people_see_all_that_is_near_and_everybody_from_far_at_every_tick(tmp_path, raise_stage):
    rooms, count, dice = tmp_path / "rooms", 100, np.random.default_rng(9)
    rooms.mkdir()
    spawns = dice.uniform((-19, -9), (19, 9), (60, 2)).round(1).tolist()
    (rooms / "hall.toml").write_text(HALL + "".join(spawn(*at) for at in spawns))
    stage = raise_stage(tmp_path / "data", Config(data=str(tmp_path / "data")), rooms)
    watchers = [Watcher(stage, number) for number in range(count)]
    stage.until(lambda: all(one.client.room is not None for one in watchers))
    compared = changed = 0
    for tick in range(100):
        for number, one in enumerate(watchers):
            if (tick + number) % 12 == 0:
                wish = dice.integers(-SPEED, SPEED, 2)
                one.client.send_pose(wish_mm_s=(int(wish[0]), int(wish[1])), yaw=int(dice.integers(1024)))
        before = stage.world.avatars.cell.copy()
        stage.tick()
        world = stage.world
        members = world.members(0)
        assert len(members) == count
        changed += int((world.avatars.cell[members] != before[members]).sum())
        truth = view_of(world.avatars, world.things, 0, members, world.things_in(0), world.tick)
        cells = world.avatars.cell[members].astype(np.int64)
        compared += sum(one.check(stage, truth, cells, stage.config.keyframe_every) for one in watchers)
    assert changed > 20 and compared > 100 * count * 4, "people moved about, and much was compared"
    figures = stage.shard.figures()
    assert figures["near_updates_total"] > 0 < figures["far_updates_total"] and figures["views"] > 10
    assert figures["held_back_view_bytes_total"] == 0
    stage.close()


# --- through an edge --------------------------------------------------------------------------------------------------


def browse(stage, edge, conn: int, name: str) -> None:
    """Somebody comes in through an edge."""
    person = Client(clock=stage.clock)
    token = stage.tokens.mint_join(Claims("hall", "student", name), stage.clock.now_s)
    edge.send(link.FromBrowsers([(conn, encoder.encode(make_hello(person.key, token=token)))]))
    stage.tick(2)


def frames_of(edge, conn: int) -> dict[int, bytes]:
    """What a browser was shown, by tick."""
    return {one.tick: one.frame for one in edge.read() if isinstance(one, Seen) and conn in one.conns}


def test_a_browser_and_a_native_client_who_look_alike_get_the_same_bytes(hall):
    frames: dict[int, bytes] = {}
    (native,) = come(hall, "native")
    native.seen.see = lambda data, see=native.seen.see: frames.update({read_frame(data).tick: data}) or see(data)
    come(hall, "elsewhere")
    edge = hall.wire.edge()
    browse(hall, edge, 1, "left, too")
    assert hall.world.cell_of(1) == hall.world.cell_of(3)
    hall.tick(30)
    shown = frames_of(edge, 1)
    alike = frames.keys() & shown.keys()
    assert len(alike) >= 30 and all(frames[tick] == shown[tick] for tick in alike)
    assert {cell for tick in alike for cell, _ in read_frame(shown[tick]).blocks} >= {FAR}


def test_a_browser_that_walks_sees_other_cells_and_the_edge_knows_no_more_than_that(hall):
    come(hall, "left", "right")
    edge = hall.wire.edge()
    browse(hall, edge, 1, "walker")
    hall.tick(12)
    reader = FrameReader()
    for data in frames_of(edge, 1).values():
        reader.see(data)
    assert len(reader.blocks) == 1 and len(reader.far) == 1
    looks = edge.views.audience
    assert looks.look_of(1).home == hall.world.cell_of(3) and len(looks.look_of(1).cells) <= 11


def test_a_revoked_browser_reads_nothing_from_the_next_tick_on(hall):
    come(hall, "left", "right")
    edge = hall.wire.edge()
    browse(hall, edge, 1, "guest")
    browse(hall, edge, 2, "stays")
    hall.tick(10)
    edge.read()
    gone = next(guest for guest in hall.shard.guests if guest.peer.conn == 1)
    hall.shard.guests.end(gone, "banned", "out")
    left = hall.world.tick
    hall.tick(10)
    told = edge.read()
    shown = {conn: {one.tick for one in told if isinstance(one, Seen) and conn in one.conns} for conn in (1, 2)}
    assert shown[1] == set() and shown[2] == set(range(left + 1, left + 11))
    assert edge.views.audience.look_of(1) is None


# --- when not everything fits -----------------------------------------------------------------------------------------


def test_in_a_throng_on_a_thin_line_what_one_sees_is_true_and_ones_own_cell_never_stands_still(tmp_path, raise_stage):
    rooms, count = tmp_path / "rooms", 40
    rooms.mkdir()
    (rooms / "hall.toml").write_text(HALL + spawn(-2.0, 0.0) + spawn(2.0, 1.0))
    limits = Limits(view_bytes_per_s=6000)
    stage = raise_stage(tmp_path / "data", Config(data=str(tmp_path / "data"), limits=limits), rooms)
    names = [f"bot-{number}" for number in range(count)]
    clients = [stage.connect(name, "student", "hall", ticks=0) for name in names]
    stage.until(lambda: all(client.room is not None for client in clients))
    stage.tick(15)
    taken, seen_at = 0, dict.fromkeys(names, stage.world.tick)
    for tick in range(90):
        for number, client in enumerate(clients):
            if (tick + number) % 6 == 0:
                client.send_pose(yaw=(37 * tick + number) % 1024, hands_mm=((-200, -500, -tick), (200, -500, -tick)))
        stage.tick()
        world, members = stage.world, stage.world.members(0)
        truth = view_of(world.avatars, world.things, 0, members, world.things_in(0), world.tick)
        cells = world.avatars.cell[members]
        for name, client in zip(names, clients, strict=True):
            home = world.cell_of(client.welcome.client)
            for cell, view in client.seen.blocks.items():
                if view.tick == world.tick:
                    np.testing.assert_array_equal(view.rows, truth.rows[cells == cell])
            if home in client.seen.blocks and client.seen.blocks[home].tick == world.tick:
                seen_at[name] = world.tick
            assert world.tick - seen_at[name] <= stage.config.keyframe_every + 1
            taken += client.seen.skipped
    figures = stage.shard.figures()
    assert figures["held_back_view_bytes_total"] > 0
    assert figures["view_bytes_total"] < count * limits.view_bytes_per_s * 2 * (110 / 30)
    stage.close()


def test_a_reader_who_stops_misses_blocks_and_is_in_sync_again_soon_after(hall):
    one, _ = come(hall, "left", "too")
    hall.tick(12)
    end = one._line.end
    end.capacity, kept = 0, end.capacity
    hall.tick(25)
    skipped = hall.shard.figures()["held_back_pipe_full_total"]
    assert skipped >= 2 * 25
    end.capacity = kept
    hall.tick(hall.config.keyframe_every + 1)
    assert one.tick == hall.world.tick and near(one) == {slot(one)}
    assert hall.shard.figures()["held_back_pipe_full_total"] == skipped


def test_who_comes_back_and_is_banned_within_the_same_tick_is_shown_nothing_and_the_others_go_on(hall):
    rob, ann = hall.connect("rob", "student", "hall"), hall.connect("ann", "operator", "hall")
    edge = hall.wire.edge()
    browse(hall, edge, 1, "browser")
    rob.drop()
    hall.tick(2)
    hall.resume("rob", ticks=0)
    ann.ask(Moderate, handle_of(ann, "rob"), "ban", "rude")
    hall.tick(3)
    assert rob.bye is not None and rob.bye.code == "over"
    assert len(hall.shard.guests) == 2 and hall.world.clients() == [2, 3]
    assert ann.tick == hall.world.tick


def handle_of(client: Client, name: str) -> int:
    """The handle of somebody in the room."""
    return next(person.avatar for person in client.people.values() if person.name == name)
