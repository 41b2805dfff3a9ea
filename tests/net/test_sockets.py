"""The native wire over real sockets: who gets in, who is served, and that nobody reads what is not theirs."""

import time
from pathlib import Path
from socket import create_connection

import pytest
import zmq
from net_stage import PATIENCE_S, SERVER, Stage, read
from zmq.utils import z85

from server.clock import ManualClock
from server.config import Limits
from server.net.addresses import addresses
from server.net.transport import Wire
from server.net.wire import Gone, Inbound
from server.net.zap import Doorkeeper


def test_who_has_no_curve_says_nothing_to_us(stage: Stage) -> None:
    plain = stage.dealer(curve=False)
    plain.send(b"\x90plain")
    stranger = stage.dealer(curve_serverkey=zmq.curve_keypair()[0])
    stranger.send(b"\x90wrong server")
    stage.hear(stage.dealer(), b"\x90right")
    stage.quiet()
    assert [i.frame for i in stage.heard if isinstance(i, Inbound)] == [b"\x90right"]


def test_the_user_id_is_the_key_the_connection_proved(stage: Stage) -> None:
    public, secret = zmq.curve_keypair()
    socket = stage.dealer(curve_publickey=public, curve_secretkey=secret)
    assert stage.hear(socket).user_id == public.decode()


def test_another_domain_is_refused_by_the_same_handler(stage: Stage) -> None:
    other = stage.wire._context.socket(zmq.ROUTER)
    other.curve_server, other.curve_secretkey = True, SERVER.secret.encode()
    other.setsockopt_string(zmq.ZAP_DOMAIN, "another")
    port = other.bind_to_random_port("tcp://127.0.0.1")
    socket = stage.dealer()
    socket.connect(f"tcp://127.0.0.1:{port}")
    socket.disconnect(stage.wire.endpoint)
    socket.send(b"\x90")
    refused = stage.wire.doorkeeper.refused
    stage.until(lambda: stage.wire.doorkeeper.refused > refused)
    assert not other.poll(100)
    other.close(0)


def test_each_gets_one_message_a_tick_snapshot_first(stage: Stage) -> None:
    a, b = stage.dealer(), stage.dealer()
    first, second = stage.hear(a, b"\x90a").peer, stage.hear(b, b"\x90b").peer
    stage.wire.show(b"\x01" * 600, [first, second])
    stage.wire.post([first], b"\x90hello")
    stage.wire.flush()
    assert read(a) == [b"\x01" * 600, b"\x90hello"]
    assert read(b) == [b"\x01" * 600]


def test_who_is_no_longer_named_in_a_view_gets_nothing_from_the_next_tick_on(stage: Stage) -> None:
    staying, leaving = stage.dealer(), stage.dealer()
    stayer, leaver = stage.hear(staying, b"\x90a").peer, stage.hear(leaving, b"\x90b").peer
    for tick in range(20):
        members = [stayer, leaver] if tick < 10 else [stayer]
        stage.wire.show(bytes([1, tick]), members)
        stage.wire.flush()
        assert read(staying) == [bytes([1, tick])]
    assert [read(leaving) for _ in range(10)] == [[bytes([1, tick])] for tick in range(10)]
    assert not leaving.poll(100)


def test_a_slow_reader_misses_snapshots_and_others_do_not(stage: Stage) -> None:
    slow, quick = stage.dealer(rcvhwm=1, rcvbuf=4096), stage.dealer()
    a, b = stage.hear(slow, b"\x90a").peer, stage.hear(quick, b"\x90b").peer
    frame, ticks = b"\x01" * 4000, 0
    while stage.wire.counters["snapshots_skipped"] < 20:
        stage.wire.show(frame, [a, b])
        stage.wire.flush()
        assert read(quick) == [frame]
        ticks += 1
        assert ticks < 20_000
    stage.wire.post([a], b"\x90late")
    got: list[bytes] = []
    while b"\x90late" not in got:
        got += read(slow)
        stage.wire.flush()
    assert len(got) <= ticks - 20 + 1


def test_a_frame_over_the_limit_costs_the_connection(tmp_path: Path) -> None:
    stage = Stage(tmp_path, Limits(frame_bytes_max=1000))
    rude, polite = stage.dealer(reconnect_ivl=-1), stage.dealer()
    peer = stage.hear(rude, b"\x90rude").peer
    rude.send(b"\x90" * 1001)

    def ended() -> bool:
        stage.wire.show(b"\x01", [peer])
        return Gone(peer, "lost") in stage.heard

    stage.until(ended)
    stage.hear(polite)
    stage.close()


@pytest.mark.parametrize("forged", [True, False])
def test_a_stranger_cannot_take_a_routing_id(stage: Stage, forged: bool) -> None:
    victim = stage.dealer()
    peer = stage.hear(victim).peer
    thief = stage.dealer(routing_id=peer.route if forged else b"chosen")
    thief.send(b"\x90stolen")
    stage.quiet()
    stage.wire.show(b"\x01secret", [peer])
    stage.wire.flush()
    assert read(victim) == [b"\x01secret"]
    assert not thief.poll(200)
    assert all(i.frame != b"\x90stolen" for i in stage.heard if isinstance(i, Inbound))
    assert stage.hear(victim, b"\x90mine").peer == peer


def test_a_lost_connection_is_noticed_and_a_new_one_is_a_new_peer(stage: Stage) -> None:
    socket = stage.dealer()
    peer = stage.hear(socket).peer
    socket.close(0)

    def gone() -> bool:
        stage.wire.show(b"\x01", [peer])
        return Gone(peer, "lost") in stage.heard

    stage.until(gone)
    assert stage.hear(stage.dealer(), b"\x90back").peer != peer


def test_more_than_one_part_upwards_is_dropped(stage: Stage) -> None:
    socket = stage.dealer()
    socket.send_multipart([b"\x90", b"\x90"])
    assert stage.hear(socket, b"\x91").frame == b"\x91"
    assert stage.wire.counters["multipart"] == 1


def test_noise_on_the_port_costs_nobody_else_anything(stage: Stage) -> None:
    host, port = stage.wire.endpoint.removeprefix("tcp://").split(":")
    greeting = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"CURVE".ljust(20, b"\0") + bytes(32)
    for noise in (b"GET / HTTP/1.0\r\n\r\n", bytes(range(256)) * 40, greeting, greeting + b"\x04" + b"\xff" * 300):
        with create_connection((host, int(port)), PATIENCE_S) as raw:
            raw.sendall(noise)
            stage.quiet(0.05)
    assert stage.hear(stage.dealer(), b"\x90polite").frame == b"\x90polite"
    assert not [i for i in stage.heard if isinstance(i, Inbound) and i.frame != b"\x90polite"]


def test_a_port_in_use_is_said_by_its_address(stage: Stage, tmp_path: Path) -> None:
    meeting = addresses(tmp_path / "other")
    with pytest.raises(OSError, match=stage.wire.endpoint):
        Wire(stage.wire.endpoint, meeting.edge, meeting.views, SERVER, Limits())


def test_the_doorkeeper_counts_connections_and_slows_floods(stage: Stage) -> None:
    clock = ManualClock()
    keeper = Doorkeeper(2, clock)
    key = bytes(range(32))
    request = [b"1.0", b"7", b"asclepion", b"127.0.0.1", b"", b"CURVE", key]
    assert keeper.answer(request) == [b"1.0", b"7", b"200", b"", z85.encode(key), b""]
    for bad in (request[:6], [*request[:2], b"other", *request[3:]], [*request[:5], b"PLAIN", key], []):
        assert keeper.answer(bad)[2] in (b"400", b"500")
    for _ in range(3):
        keeper.watch(zmq.EVENT_ACCEPTED)
    assert keeper.answer(request)[2] == b"400"
    keeper.watch(zmq.EVENT_DISCONNECTED)
    keeper.watch(zmq.EVENT_MONITOR_STOPPED)
    assert keeper.open == 2 and keeper.answer(request)[2] == b"200"
    codes = [keeper.answer(request)[2] for _ in range(1000)]
    assert codes.count(b"200") < 600 and codes[-1] == b"300"
    clock.advance(1.0)
    assert keeper.answer(request)[2] == b"200"


def test_connections_that_stand_are_counted_until_they_end(stage: Stage) -> None:
    socket = stage.dealer()
    stage.hear(socket)
    assert stage.wire.doorkeeper.open == 1
    socket.close(0)
    stage.until(lambda: stage.wire.doorkeeper.open == 0)


def test_a_wait_ends_with_data_or_at_its_time(stage: Stage) -> None:
    stage.quiet(0.05)
    start = time.monotonic()
    assert stage.wire.wait(start + 0.0305) is False
    assert time.monotonic() >= start + 0.0305
    speaker = stage.dealer()
    speaker.send(b"\x90")
    assert stage.wire.wait(time.monotonic() + PATIENCE_S) is True
