"""The wire's decisions, on the memory wire: who is heard, who is served, who is let go, who can open what."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import Limits
from server.net import link
from server.net.edgewire import Seen
from server.net.memory import MemoryEdge, MemoryWire
from server.net.seal import SealError, open_sealed
from server.net.wire import AnyWire, Asked, EdgeDown, EdgeUp, Gone, Inbound, Peer
from server.sim.frame import write_frame
from tests.net.net_sheets import frame_of, join, publish

LIMITS = Limits(inbound_queue_max=4, outbound_bytes_max=1000, unverified_peers_max=3)


def wired() -> MemoryWire:
    wire = MemoryWire(LIMITS)
    as_the_shard_sees_it: AnyWire = wire
    assert as_the_shard_sees_it.counters["messages_sent"] == 0
    return wire


def native(wire: MemoryWire, user_id: str = "key"):
    client = wire.client(user_id)
    client.send(b"\x90")
    (heard,) = wire.receive(10)
    assert isinstance(heard, Inbound) and heard.user_id == user_id
    wire.verified(heard.peer)
    return client, heard.peer


def edge_with(wire: MemoryWire, *conns: int, name: str = "edge") -> tuple[MemoryEdge, list[Peer]]:
    edge = wire.edge(name)
    edge.send(link.FromBrowsers([(conn, b"\x90") for conn in conns]))
    heard = wire.receive(100)
    assert heard[-len(conns) - 1] == EdgeUp(edge.route)
    wire.flush()
    edge.read()
    return edge, [item.peer for item in heard[-len(conns) :]]


def seen(edge: MemoryEdge) -> list[Seen]:
    return [item for item in edge.read() if isinstance(item, Seen)]


def test_one_message_a_tick_with_the_snapshot_first() -> None:
    wire = wired()
    client, peer = native(wire)
    wire.post([peer], b"\x91a")
    wire.show(b"\x01snap", [peer])
    wire.post([peer], b"\x91b")
    wire.flush()
    wire.flush()
    assert client.read() == [[b"\x01snap", b"\x91a", b"\x91b"]]


def test_a_slow_reader_misses_snapshots_and_keeps_every_control_frame() -> None:
    wire = wired()
    slow, peer = native(wire)
    quick, other = native(wire)
    slow.capacity = 2
    got, snapshot = [], write_frame(0, 1, 0, [(0, b""), (1, b"\0"), (2, b"")])
    for tick in range(6):
        wire.post([peer], bytes([0x90, tick]))
        wire.show(snapshot, [peer, other])
        wire.flush()
        got += quick.read()
    assert got == [[snapshot]] * 6
    assert len(slow.read()) == 2
    wire.flush()
    assert slow.read() == [[bytes([0x90, tick]) for tick in range(2, 6)]]
    assert wire.counters["snapshots_skipped"] == 4 and wire.counters["held_back_pipe_full"] == 4 * 3


def test_a_slow_reader_of_waves_misses_some_and_stays() -> None:
    wire = wired()
    slow, peer = native(wire)
    slow.capacity = 1
    for number in range(30):
        wire.post([peer], b"\x03" * 100)
        wire.post([peer], bytes([0x90, number]))
        wire.flush()
    assert slow.read() == [[b"\x03" * 100, b"\x90\x00"]]
    wire.flush()
    assert slow.read() == [[bytes([0x90, number]) for number in range(1, 30)]]
    assert wire.counters["waves_skipped"] == 29 and wire.counters["too_slow"] == 0


def test_who_never_reads_is_let_go_and_the_queue_never_grows_past_its_limit() -> None:
    wire = wired()
    slow, peer = native(wire)
    slow.capacity = 0
    for _ in range(11):
        wire.post([peer], b"\x90" * 100)
        wire.flush()
    assert wire.receive(10) == [Gone(peer, "too-slow")]
    wire.post([peer], b"\x90")
    wire.flush()
    assert wire.counters["too_slow"] == 1


def test_a_lost_connection_is_reported_once() -> None:
    wire = wired()
    client, peer = native(wire)
    client.close()
    wire.show(b"\x01", [peer])
    wire.flush()
    wire.show(b"\x01", [peer])
    wire.flush()
    assert wire.receive(10) == [Gone(peer, "lost")]


def test_a_burst_of_one_peer_is_cut_and_others_are_heard() -> None:
    wire = wired()
    loud, _ = native(wire)
    quiet, peer = native(wire)
    for _ in range(10):
        loud.send(b"\x90")
    quiet.send(b"\x91")
    heard = wire.receive(100)
    assert len(heard) == LIMITS.inbound_queue_max + 1
    assert heard[-1].peer == peer
    assert wire.counters["burst_frames"] == 6


def test_what_is_over_a_receives_share_waits_its_turn_and_edges_take_turns() -> None:
    wire = wired()
    loud, talkers = edge_with(wire, *range(1, 31), name="loud")
    quiet, (speaker,) = edge_with(wire, 1, name="quiet")
    for number in range(3):
        loud.send(link.FromBrowsers([(peer.conn, bytes([0x90, number])) for peer in talkers]))
    loud.send(link.Gone([30]))
    quiet.send(link.FromBrowsers([(1, b"\x91")]))
    rounds = [wire.receive(20) for _ in range(5)]
    assert [len(heard) for heard in rounds] == [20, 20, 20, 20, 12]
    events = [item for heard in rounds for item in heard]
    assert events[-1] == Gone(talkers[-1], "closed") or events[-2] == Gone(talkers[-1], "closed")
    for peer in talkers:
        said = [item.frame for item in events if isinstance(item, Inbound) and item.peer == peer]
        assert said == [bytes([0x90, number]) for number in range(3)]
    assert Inbound(speaker, b"\x91", "") in events
    assert wire.counters["burst_frames"] == 0


def test_strangers_are_limited_until_verified() -> None:
    wire = wired()
    clients = [wire.client(str(number)) for number in range(5)]
    for client in clients:
        client.send(b"\x90")
    heard = wire.receive(10)
    assert len(heard) == 3 and wire.counters["strangers_dropped"] == 2
    for item in heard:
        wire.verified(item.peer)
    clients[4].send(b"\x90")
    assert len(wire.receive(10)) == 1


def test_a_connection_whose_key_changes_is_ended() -> None:
    wire = wired()
    client, peer = native(wire, "one")
    client.user_id = "two"
    client.send(b"\x90")
    assert wire.receive(10) == [Gone(peer, "identity")]
    client.user_id = "one"
    client.send(b"\x90")
    assert wire.receive(10) == []


def test_close_sends_the_last_words_and_hears_nothing_more() -> None:
    wire = wired()
    client, peer = native(wire)
    wire.post([peer], b"\x93bye")
    wire.close(peer, "bye")
    wire.flush()
    assert client.read() == [[b"\x93bye"]]
    client.send(b"\x90")
    assert wire.receive(10) == []
    assert wire.counters["late_frames"] == 1


def test_browsers_are_served_with_one_batch_an_edge() -> None:
    wire = wired()
    edge, (a, b) = edge_with(wire, 1, 2)
    wire.post([a, b], b"\x90all")
    wire.post([b], b"\x90b")
    wire.close(a, "bye")
    wire.flush()
    assert edge.read() == [link.ToBrowsers([([1, 2], b"\x90all"), ([2], b"\x90b")]), link.Close([1], "bye")]
    edge.send(link.FromBrowsers([(1, b"\x90"), (2, b"\x91")]))
    assert wire.receive(10) == [Inbound(b, b"\x91", "")]


def test_poses_of_browsers_come_apart_and_in_rows() -> None:
    wire = wired()
    edge, (a, b) = edge_with(wire, 1, 2)
    poses = [b"\x10" + bytes([number]) * 38 for number in range(3)]
    numbers = b"".join(conn.to_bytes(4, "little") for conn in (2, 1))
    edge.send(link.FromBrowsers([(1, poses[0])], numbers, poses[1] + poses[2]))
    assert wire.receive(10) == [Inbound(a, poses[0], ""), Inbound(b, poses[1], ""), Inbound(a, poses[2], "")]
    for conns, rows in ((numbers[:-1], poses[1] + poses[2]), (numbers, poses[1]), (b"", poses[1]), (numbers, b"")):
        edge.send(link.FromBrowsers([], conns, rows))
    assert wire.receive(10) == [] and wire.counters["edge_undecodable"] == 4


def test_a_member_who_left_reads_nothing_from_the_next_tick_on_and_others_see_no_gap() -> None:
    wire = wired()
    staying, (stayer,) = edge_with(wire, 1, name="one")
    leaving, (leaver,) = edge_with(wire, 1, name="two")
    for peer in (stayer, leaver):
        join(wire, peer, 7)
    got = []
    old_keys: dict[int, bytes] = {}
    for tick in range(6):
        if tick == 3:
            old_keys = dict(leaving.views.views[7].keys)
            wire.leave_room(leaver)
        publish(wire, 7, tick, bytes([tick]))
        wire.flush()
        late = list(leaving.published)
        got += [(item.tick, item.frame, item.conns) for item in seen(staying)]
        assert bool(seen(leaving)) == (tick < 3)
    assert got == [(tick, frame_of(7, tick, bytes([tick])), (1,)) for tick in range(6)]
    _, header, sealed = late[-1]
    for key in old_keys.values():
        try:
            open_sealed(key, header, sealed)
        except SealError:
            continue
        raise AssertionError("a key from before opened what came after")


def test_a_snapshot_that_overtakes_its_key_is_opened_when_the_key_comes() -> None:
    wire = wired()
    edge, (peer, other) = edge_with(wire, 1, 2)
    join(wire, peer, 7)
    join(wire, other, 7)
    publish(wire, 7, 1, b"a")
    wire.flush()
    edge.read()
    wire.leave_room(other)
    publish(wire, 7, 2, b"b")
    wire.flush()
    held, edge.received = edge.received, type(edge.received)()
    assert edge.read() == []
    edge.received = held
    assert [(s.tick, s.conns) for s in seen(edge)] == [(2, (1,))]


def test_a_view_is_never_sealed_twice_for_one_tick() -> None:
    wire = wired()
    _, (peer,) = edge_with(wire, 1)
    join(wire, peer, 7)
    publish(wire, 7, 5, b"a")
    wire.flush()
    publish(wire, 7, 5, b"b")
    with pytest.raises(AssertionError, match="nonce"):
        wire.flush()


def test_views_without_edge_members_are_not_published() -> None:
    wire = wired()
    edge, (peer,) = edge_with(wire, 1)
    publish(wire, 7, 1, b"")
    join(wire, peer, 7)
    wire.leave_room(peer)
    wire.flush()
    publish(wire, 7, 2, b"")
    wire.flush()
    assert not edge.published


def test_an_edge_that_comes_back_under_its_name_loses_its_earlier_connections() -> None:
    wire = wired()
    edge, (a, b) = edge_with(wire, 1, 2)
    again = wire.edge("edge")
    assert wire.receive(10) == [Gone(a, "edge"), Gone(b, "edge"), EdgeDown(edge.route), EdgeUp(again.route)]


def test_a_dead_edge_is_found_by_the_next_message_to_it() -> None:
    wire = wired()
    edge, (a,) = edge_with(wire, 1)
    edge.close()
    wire.stats({"clients": 1.0})
    wire.flush()
    assert wire.receive(10) == [Gone(a, "edge"), EdgeDown(edge.route)]


def test_an_edge_of_another_protocol_or_without_hello_is_not_heard() -> None:
    wire = wired()
    edge = wire.edge()
    edge.send(link.EdgeHello(b"otherone", "other"))
    wire.receive(10)
    stranger = wire.edge("third")
    wire.inbox.clear()
    stranger.send(link.FromBrowsers([(1, b"\x90")]))
    assert wire.receive(10) == []
    assert wire.counters["edge_unknown"] == 2
    wire.flush()
    assert stranger.read() == [link.Close([], "hello")]
    assert edge.read()[-1] == link.Close([], "protocol")


def test_questions_and_answers_find_their_way() -> None:
    wire = wired()
    edge, _ = edge_with(wire, 1)
    edge.send(link.Ask(5, "who", b"{}"))
    assert wire.receive(10) == [Asked(edge.route, 5, "who", b"{}")]
    wire.answer(edge.route, 5, 200, b"[]")
    wire.flush()
    assert edge.read() == [link.Answer(5, 200, b"[]")]


def test_browsers_that_close_are_gone_and_see_no_more() -> None:
    wire = wired()
    edge, (a,) = edge_with(wire, 1)
    join(wire, a, 7)
    wire.flush()
    edge.send(link.Gone([1, 9]))
    assert wire.receive(10) == [Gone(a, "closed")]
    publish(wire, 7, 1, b"")
    wire.flush()
    assert not edge.published


def test_an_edge_whose_backlog_grows_without_end_is_let_go() -> None:
    wire = MemoryWire(replace(LIMITS, outbound_bytes_max=10))
    edge, (a,) = edge_with(wire, 1)
    edge.capacity = 0
    for _ in range(10):
        wire.post([a], b"\x90" * 100)
        wire.flush()
    assert EdgeDown(edge.route) in wire.receive(10)
    assert wire.counters["edge_too_slow"] == 1


@given(st.binary(max_size=200), st.integers(0, 12))
@settings(max_examples=500, deadline=None)
def test_no_bytes_of_an_edge_whatever_do_harm(data: bytes, tag: int) -> None:
    wire = MemoryWire(LIMITS)
    edge = wire.edge()
    for frame in (data, bytes([0x92, tag]) + data, msgspec.msgpack.encode([tag, data])):
        wire.inbox.append((edge, frame))
    assert wire.receive(100)[0] == EdgeUp(edge.route)
    wire.flush()


@given(st.lists(st.tuples(st.sampled_from("jjlcgvvv"), st.integers(0, 5), st.integers(0, 2)), max_size=60))
@settings(max_examples=200, deadline=None)
def test_whatever_happens_only_members_of_a_view_get_its_snapshots(steps: list[tuple[str, int, int]]) -> None:
    """Random joins, leaves, closes and publications against a plain model of who sees what."""
    wire = MemoryWire(LIMITS)
    edges = [edge_with(wire, 1, 2, 3, name=name) for name in ("one", "two")]
    peers = [peer for _, its in edges for peer in its]
    model: dict[Peer, int] = {}
    tick = 0
    for what, who, view in steps:
        peer = peers[who]
        if what == "j" and peer not in model:
            join(wire, peer, view)
            model[peer] = view
        elif what in "lc":
            wire.leave_room(peer) if what == "l" else wire.close(peer, "bye")
            model.pop(peer, None)
        elif what == "g":
            edges[who // 3][0].send(link.Gone([peer.conn]))
            wire.receive(10)
            model.pop(peer, None)
        elif what == "v":
            tick += 1
            publish(wire, view, tick)
            wire.flush()
            for edge, its in edges:
                members = {p.conn for p in its if model.get(p) == view}
                got = {conn for item in seen(edge) if item.view == view and item.tick == tick for conn in item.conns}
                assert got == members
