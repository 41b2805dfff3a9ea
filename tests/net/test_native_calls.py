"""Native peers over real sockets, through compiled calls of libzmq and through pyzmq: the same in and out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from net_stage import Stage, read

from server.config import Limits
from server.net import zmq_calls
from server.net.uplink import POSE_BYTES
from server.net.wire import Gone, Inbound, Peer
from server.sim.poses import POSE

LIMITS = Limits(messages_per_tick_max=40, frames_per_tick_max=64, inbound_queue_max=64)


@pytest.fixture(params=["compiled", "pyzmq"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, LIMITS)
    made.wire._compiled = request.param == "compiled"
    yield made
    made.close()


def pose(mark: int) -> bytes:
    return b"\x10" + mark.to_bytes(4, "little") + bytes(POSE_BYTES - 5)


def let_in(stage: Stage, row: int, keys: tuple[bytes, bytes] | None = None) -> tuple[zmq.Socket, Peer]:
    public, secret = keys or zmq.curve_keypair()
    socket = stage.dealer(curve_publickey=public, curve_secretkey=secret)
    peer = stage.hear(socket, b"\x90%d" % row).peer
    stage.wire.verified(peer, row)
    return socket, peer


def marks(stage: Stage, count: int) -> list[tuple[int, int]]:
    """Receive until so many poses came; their rows and marks."""
    got: list[tuple[int, int]] = []

    def enough() -> bool:
        poses = stage.wire.poses()
        seqs = poses.raw.reshape(-1).view(POSE)["seq"].tolist()
        got.extend(zip(poses.rows.tolist(), seqs, strict=True))
        return len(got) >= count

    stage.until(enough)
    return got


def test_this_machine_has_the_compiled_calls() -> None:
    assert zmq_calls.AVAILABLE


def test_poses_come_as_rows_and_all_else_with_the_key_that_was_proved(either: Stage) -> None:
    keys = [zmq.curve_keypair() for _ in range(5)]
    sockets = [let_in(either, row, keys[row]) for row in range(4)]
    heard_before = len(either.heard)
    for number in range(1, 6):
        for row, (socket, _) in enumerate(sockets):
            socket.send(pose(10 * number + row))
            socket.send(b"\x91%d" % number)
    stranger = either.dealer(curve_publickey=keys[4][0], curve_secretkey=keys[4][1])
    stranger.send(pose(99))
    got = marks(either, 20)
    assert sorted(got) == sorted((row, 10 * number + row) for row in range(4) for number in range(1, 6))
    for row in range(4):
        assert [mark for its, mark in got if its == row] == [10 * number + row for number in range(1, 6)]
    either.until(lambda: len(either.heard) >= heard_before + 21)
    said = [item for item in either.heard[heard_before:] if isinstance(item, Inbound)]
    for (_, peer), (public, _) in zip(sockets, keys, strict=False):
        mine = [item for item in said if item.peer == peer]
        assert [item.frame for item in mine] == [b"\x91%d" % number for number in range(1, 6)]
        assert {item.user_id for item in mine} == {public.decode()}
    assert [item.frame for item in said if item.user_id == keys[4][0].decode()] == [pose(99)]


def test_what_looks_like_a_pose_only_by_size_or_kind_comes_as_a_frame(either: Stage) -> None:
    socket, peer = let_in(either, 0)
    odd = [b"\x11" + bytes(38), b"\x10" + bytes(37), b"\x10" + bytes(39), b"", b"\x10" * 16_000]
    for frame in odd:
        socket.send(frame)
    either.until(lambda: sum(isinstance(i, Inbound) and i.peer == peer for i in either.heard) == 1 + len(odd))
    assert [i.frame for i in either.heard if isinstance(i, Inbound) and i.peer == peer][1:] == odd


def test_a_snapshot_goes_to_all_that_are_named_whatever_becomes_of_one(either: Stage) -> None:
    sockets = [let_in(either, row) for row in range(3)]
    lost, gone = sockets[1]
    lost.close(0)
    frame = np.random.default_rng(1).bytes(5000)
    peers = [peer for _, peer in sockets]

    def noticed() -> bool:
        either.wire.show(frame, peers)
        return Gone(gone, "lost") in either.heard

    either.until(noticed)
    either.wire.post([peers[2]], b"\x90more")
    either.wire.show(b"\x01last", peers)
    either.wire.flush()
    for index, wanted in ((0, [b"\x01last"]), (2, [b"\x01last", b"\x90more"])):
        got = read(sockets[index][0])
        while got == [frame]:
            got = read(sockets[index][0])
        assert got == wanted
    assert [item for item in either.heard if isinstance(item, Gone)] == [Gone(gone, "lost")]


def test_a_flood_waits_its_turn_and_others_are_heard_at_once(either: Stage) -> None:
    loud, flooder = let_in(either, 0)
    quiet, peer = let_in(either, 1)
    for _ in range(600):
        loud.send(b"\x92flood")
    either.until(lambda: sum(isinstance(i, Inbound) and i.peer == flooder for i in either.heard) > 1)
    quiet.send(b"\x91here")
    assert quiet.poll(50, zmq.POLLOUT)
    rounds: list[int] = []
    while not any(isinstance(i, Inbound) and i.peer == peer and i.frame == b"\x91here" for i in either.heard):
        taken = either.wire.receive(LIMITS.messages_per_tick_max)
        either.heard += taken
        rounds.append(len(taken))
        assert len(rounds) < 10_000
    assert max(rounds) <= LIMITS.messages_per_tick_max


def test_who_was_let_go_is_not_listened_to(either: Stage) -> None:
    socket, peer = let_in(either, 0)
    either.wire.close(peer, "bye")
    either.wire.flush()
    before = len(either.heard)
    for _ in range(10):
        socket.send(pose(1))
        socket.send(b"\x90")
    either.until(lambda: either.wire.counters["late_frames"] == 20)
    assert len(either.heard) == before and not len(either.wire.poses().rows)


def test_a_new_connection_is_a_new_peer_even_with_the_same_key(either: Stage) -> None:
    """So the key that was proved cannot change under a routing id: libzmq gives each connection a fresh one."""
    keys = zmq.curve_keypair()
    first = either.dealer(curve_publickey=keys[0], curve_secretkey=keys[1])
    before = either.hear(first, b"\x90first")
    first.close(0)
    second = either.dealer(curve_publickey=keys[0], curve_secretkey=keys[1])
    after = either.hear(second, b"\x90second")
    assert before.user_id == after.user_id and before.peer != after.peer
