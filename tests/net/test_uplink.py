"""A tick's poses taken in one pass: the same ones, and the same ends, as one session at a time would have it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import Limits
from server.net import link
from server.net.gate import NO_ROW, PoseGate, find
from server.net.memory import MemoryWire
from server.net.session import POSE_STRUCT, Pose, ProtocolError, Session
from server.net.sessions import ROWS_AT_FIRST, Sessions
from server.net.uplink import CODES, POSE_BYTES, joined, poses_of
from server.net.wire import Gone, Inbound, Peer
from server.sim.poses import POSE
from server.sim.rotation import IDENTITY

PEERS = 5
BAD = 1023 << 12
TIGHT = Limits(messages_per_s=6, bytes_per_s=400, inbound_queue_max=4, unverified_peers_max=64)


def pose(seq: int, client: int = 0, **changed: Any) -> bytes:
    fields = {"yaw": 0, "head": 1600, "rot": IDENTITY, "left": IDENTITY, "right": IDENTITY, "flags": 0} | changed
    return POSE_STRUCT.pack(
        0x10, seq, client, 0, fields["yaw"], fields["head"], fields["rot"], 0, 0, 0, fields["left"], 0, 0, 0,
        fields["right"], 0, fields["flags"],
    )  # fmt: skip


BREAKS = st.sampled_from(
    [{}] * 12
    + [{"yaw": 1023}, {"yaw": 1024}, {"head": 4095}, {"head": 4096}, {"flags": 11}, {"flags": 4}, {"flags": 128}]
    + [{"rot": BAD}, {"left": BAD}, {"right": BAD}, {"rot": 1023 << 2}, {"left": 1023 << 22}, {"right": 1022 << 2}]
)
FRAMES = st.builds(lambda seq, changed: pose(seq, **changed), st.integers(0, 12) | st.just(0xFFFF_FFFF), BREAKS)
HEARD = st.lists(st.tuples(st.integers(0, PEERS - 1), FRAMES), max_size=20)


@given(st.lists(st.tuples(st.floats(-0.5, 2.0), HEARD), max_size=6), st.sampled_from([TIGHT, Limits()]))
@settings(max_examples=400, deadline=None)
def test_one_pass_is_what_single_sessions_would_do(
    ticks: list[tuple[float, list[tuple[int, bytes]]]], limits: Limits
) -> None:
    now_s = 10.0
    together = Sessions(limits)
    rows = [together.open(client + 100, now_s).row for client in range(PEERS)]
    single = [Session(limits, now_s) for _ in range(PEERS)]
    for passed_s, heard in ticks:
        now_s += passed_s
        newest: dict[int, bytes] = {}
        ends: list[tuple[int, str, str]] = []
        for who, frame in heard:
            try:
                got = single[who].receive(frame, now_s)
            except ProtocolError as error:
                newest.pop(who, None)
                if error.code != "closed":
                    ends.append((who + 100, error.code, error.text))
            else:
                assert isinstance(got, Pose)
                newest[who] = got.raw
        batch, broken = together.take(joined([poses_of([(rows[who], frame)]) for who, frame in heard]), now_s)
        assert batch.client.tolist() == [who + 100 for who in sorted(newest)]
        assert batch.rows.tobytes() == b"".join(newest[who] for who in sorted(newest))
        assert [(client, error.code, error.text) for client, error in broken] == ends


@given(FRAMES)
@settings(max_examples=200, deadline=None)
def test_messages_and_poses_draw_on_the_same_rates(frame: bytes) -> None:
    sessions = Sessions(TIGHT)
    session = sessions.open(1, 0.0)
    for seq in range(1, 1 + 2 * TIGHT.messages_per_s):
        session.receive(pose(seq), 0.0)
    _, ((client, error),) = sessions.take(poses_of([(session.row, frame)]), 0.0)
    assert (client, error.code) == (1, "rate-messages")


def test_whose_pose_was_taken_or_refused_was_heard() -> None:
    sessions = Sessions(Limits())
    rows = [sessions.open(client, 0.0).row for client in (1, 2, 3)]
    sessions.take(poses_of([(rows[0], pose(1)), (rows[1], pose(0))]), 5.0)
    assert sessions.silent(5.0) == [3]


def test_a_frame_over_the_size_is_refused_like_any_other() -> None:
    sessions = Sessions(Limits(frame_bytes_max=POSE_BYTES - 1))
    _, ((_, error),) = sessions.take(poses_of([(sessions.open(1, 0.0).row, pose(1))]), 0.0)
    assert error.code == "size" and error.code in CODES


def test_rows_grow_without_losing_what_is_known() -> None:
    sessions = Sessions(Limits())
    opened = [sessions.open(client, float(client)) for client in range(ROWS_AT_FIRST)]
    opened[3].receive(pose(7), 3.0)
    opened += [sessions.open(client, 500.0) for client in range(ROWS_AT_FIRST, 3 * ROWS_AT_FIRST)]
    assert len({session.row for session in opened}) == len(opened)
    assert sessions.silent(10.0) == list(range(10))
    with pytest.raises(ProtocolError, match="seq is 7, it must be over 7"):
        opened[3].receive(pose(7), 3.0)
    assert sessions.silent(10.0) == [0, 1, 2, *range(4, 10)]


def test_a_row_has_no_new_owner_before_the_next_receive() -> None:
    sessions = Sessions(Limits())
    first = [sessions.open(client, 0.0) for client in range(ROWS_AT_FIRST)]
    sessions.end(first[5])
    late = poses_of([(first[5].row, pose(1, 5))])
    second = sessions.open(99, 0.0)
    assert second.row != first[5].row
    assert len(sessions.take(late, 0.0)[0].client) == 0
    sessions.begin()
    rows = {sessions.open(client, 0.0).row for client in range(100, 100 + ROWS_AT_FIRST)}
    assert first[5].row in rows


class Desk:
    """The shard's end of the wire with sessions and nothing else: who says a word is let in, who leaves is let go."""

    def __init__(self) -> None:
        self.wire = MemoryWire(TIGHT)
        self.sessions = Sessions(TIGHT)
        self.at: dict[Peer, tuple[int, Session]] = {}
        self.who: dict[int, Peer] = {}

    def turn(self, now_s: float) -> list[tuple[Peer, int]]:
        """One drain: whose pose was taken, and its mark."""
        self.sessions.begin()
        loose = []
        for item in self.wire.receive(1000):
            if isinstance(item, Gone):
                self.gone(item.peer)
            elif isinstance(item, Inbound) and item.peer not in self.at:
                client = len(self.who) + 1
                session = self.sessions.open(client, now_s)
                self.wire.verified(item.peer, session.row)
                self.at[item.peer], self.who[client] = (client, session), item.peer
            elif isinstance(item, Inbound):
                loose.append((self.at[item.peer][1].row, item.frame))
        batch, broken = self.sessions.take(joined([poses_of(loose), self.wire.poses()]), now_s)
        for client, _ in broken:
            peer = next(peer for peer, (number, _) in self.at.items() if number == client)
            self.gone(peer)
            self.wire.close(peer, "rude")
        marks = batch.rows["wish_mm_s"][:, 0].tolist()
        return [(self.who[client], mark) for client, mark in zip(batch.client.tolist(), marks, strict=True)]

    def gone(self, peer: Peer) -> None:
        if peer in self.at:
            self.sessions.end(self.at.pop(peer)[1])


@given(st.lists(st.tuples(st.sampled_from("ehhppqqrcggtt"), st.integers(0, 3)), max_size=60))
@settings(max_examples=400, deadline=None)
def test_whoever_comes_and_goes_a_pose_is_never_another_ones(steps: list[tuple[str, int]]) -> None:
    """Every connection marks its poses with its own number; natives and browsers, some rude, some cut."""
    desk = Desk()
    edge = desk.wire.edge()
    natives: list[Any] = []
    browsers: list[int] = []
    now_s = 0
    for seq, (what, who) in enumerate(steps, start=1):
        if what == "e":
            natives.append(desk.wire.client())
            natives[-1].send(b"\x90")
        elif what == "h":
            browsers.append(1000 + len(browsers))
            edge.send(link.FromBrowsers([(browsers[-1], b"\x90")]))
        elif what in "pr" and natives:
            who %= len(natives)
            natives[who].send(pose(seq if what == "p" else 0, who))
        elif what == "q" and browsers:
            conn = browsers[who % len(browsers)]
            edge.send(link.FromBrowsers([], conn.to_bytes(4, "little"), pose(seq, conn)))
        elif what == "c" and natives:
            natives[who % len(natives)].close()
        elif what == "g" and browsers:
            edge.send(link.Gone([browsers[who % len(browsers)]]))
        elif what == "t":
            now_s += 1
            for peer, mark in desk.turn(float(now_s)):
                assert mark == (peer.conn or [native.route for native in natives].index(peer.route))
            for peer in [peer for peer in desk.at if peer.kind == "native"]:
                desk.wire.post([peer], b"\x90")
            desk.wire.flush()


@given(st.lists(st.integers(0, 40), unique=True), st.lists(st.integers(0, 40)))
def test_keys_are_found_or_not(known: list[int], wanted: list[int]) -> None:
    gate = PoseGate(4)
    for row, key in enumerate(known):
        gate.let(key, row)
    expected = [known.index(key) if key in known else NO_ROW for key in wanted]
    assert gate.rows_of(np.array(wanted, np.int64)).tolist() == expected
    keys, rows, _ = gate.known
    assert [int(rows[at]) if (at := find(keys, key)) >= 0 else NO_ROW for key in wanted] == expected


def test_one_receive_takes_a_burst_of_each_and_no_more() -> None:
    gate = PoseGate(3)
    gate.let(7, 0)
    gate.let(8, 1)
    frames = [(7, pose(seq)) for seq in range(1, 3)]
    assert all(gate.let_in(key, frame) for key, frame in frames)
    conns = b"".join(conn.to_bytes(4, "little") for conn in (7, 8, 9, 7, 7, 8))
    others = gate.add_batch(0, conns, b"".join(pose(seq) for seq in range(3, 9)))
    assert others == [(9, pose(5))]
    poses = gate.take()
    assert poses.rows.tolist() == [0, 0, 0, 1, 1] and gate.dropped == 2
    assert poses.raw.reshape(-1).view(POSE)["seq"].tolist() == [1, 2, 3, 4, 8]
    assert not len(gate.take().rows)
