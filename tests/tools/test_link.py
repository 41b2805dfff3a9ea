"""The faulty wire does what its faults say: nothing without them, the same for the same seed, never over its rate."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.clock import ManualClock
from server.config import Limits
from server.net.memory import MemoryWire
from tools.backoff import Backoff
from tools.link import Faults, Line, LinkError, check, cut_at, cut_number, dice, fate
from tools.link_memory import BUFFER_BYTES, FaultyLine
from tools.link_proxy import Proxy
from tools.link_proxy import main as proxy_main

SHARES = st.floats(0.0, 1.0)
SHORT = st.floats(0.0, 0.5)
FAULTS = st.builds(
    Faults, delay_s=SHORT, jitter_s=SHORT, loss=SHARES, stall_s=SHORT, doubled=SHARES, held=SHARES, held_s=SHORT,
    rate_bytes_s=st.sampled_from([0.0, 500.0, 20_000.0]), queue_s=SHORT, cut_every_s=st.sampled_from([0.0, 2.0]),
    cut_s=SHORT, ends=SHARES,
)  # fmt: skip
TRAFFIC = st.lists(st.tuples(st.floats(0.0, 0.2), st.integers(1, 1500)), min_size=1, max_size=40)
KINDS = st.sampled_from(["stream", "datagrams"])


def run(kind, faults, seed, traffic, direction="down"):
    """(sent at, size, fate) of every message."""
    line, now_s, rows = Line(), 0.0, []
    for gap_s, size in traffic:
        now_s += gap_s
        what, line = fate(kind, faults, seed, direction, line, size, now_s)
        rows.append((now_s, size, what))
    return rows


@settings(deadline=None, max_examples=60)
@given(KINDS, FAULTS, st.integers(0, 1 << 40), TRAFFIC)
def test_the_same_seed_is_the_same_fate_and_nothing_comes_before_it_was_sent(kind, faults, seed, traffic):
    rows = run(kind, check(faults), seed, traffic)
    assert rows == run(kind, faults, seed, traffic)
    for sent_s, _, what in rows:
        assert all(at_s >= sent_s + faults.delay_s for at_s in what.times_s)
        assert len(what.times_s) <= 2


@settings(deadline=None, max_examples=60)
@given(FAULTS, st.integers(0, 1 << 40), TRAFFIC)
def test_a_stream_gives_everything_once_and_in_order(faults, seed, traffic):
    times = [what.times_s for _, _, what in run("stream", faults, seed, traffic)]
    assert all(len(one) == 1 for one in times)
    assert times == sorted(times)


@settings(deadline=None, max_examples=60)
@given(KINDS, FAULTS, st.integers(0, 1 << 40), TRAFFIC)
def test_nothing_comes_out_during_a_cut(kind, faults, seed, traffic):
    whole = faults._replace(cut_every_s=2.0, rate_bytes_s=0.0, delay_s=0.0, jitter_s=0.0, held=0.0)
    for _, _, what in run(kind, whole, seed, traffic):
        assert all(cut_at(whole, seed, at_s) is None for at_s in what.times_s)


@settings(deadline=None, max_examples=60)
@given(KINDS, FAULTS, st.integers(0, 1 << 40), TRAFFIC)
def test_the_rate_is_never_exceeded(kind, faults, seed, traffic):
    rate = 5000.0
    slow = faults._replace(rate_bytes_s=rate, queue_s=10.0)
    if kind == "datagrams":  # jitter may bring together what the wire took one after another
        slow = slow._replace(jitter_s=0.0, held=0.0, doubled=0.0, loss=0.0)
    out = sorted((at_s, size) for _, size, what in run(kind, slow, seed, traffic) for at_s in what.times_s)
    for first in range(len(out)):
        carried = 0
        for at_s, size in out[first + 1 :]:
            carried += size
            assert carried <= rate * (at_s - out[first][0]) + 1e-6 * rate


@settings(deadline=None, max_examples=40)
@given(KINDS, st.integers(0, 1 << 40), TRAFFIC, SHORT)
def test_without_faults_everything_comes_after_the_delay_and_in_order(kind, seed, traffic, delay_s):
    rows = run(kind, Faults(delay_s=delay_s), seed, traffic)
    assert [what for _, _, what in rows] == [((pytest.approx(at_s + delay_s),), "") for at_s, _, _ in rows]


def test_shares_are_what_they_say():
    steady = [(0.01, 100)] * 4000
    rows = run("datagrams", Faults(loss=0.1, doubled=0.05, held=0.05), 7, steady)
    reasons = [what.reason for _, _, what in rows]
    assert 320 <= reasons.count("lost") <= 480
    assert 120 <= reasons.count("doubled") <= 240 and 120 <= reasons.count("held") <= 240
    stalled = [what.reason for _, _, what in run("stream", Faults(loss=0.1, stall_s=0.001), 7, steady)]
    assert 320 <= stalled.count("stalled") <= 480


def test_directions_and_seeds_fare_differently():
    draws = {dice(seed, way, 1, "loss") for seed in range(50) for way in ("up", "down")}
    assert len(draws) == 100 and all(0.0 <= draw < 1.0 for draw in draws)


def test_a_full_queue_drops_datagrams_and_says_so():
    rows = run("datagrams", Faults(rate_bytes_s=1000.0, queue_s=0.5), 1, [(0.0, 100)] * 20)
    assert [what.reason for _, _, what in rows] == [""] * 5 + ["full"] * 15


@pytest.mark.parametrize("wrong", [Faults(loss=1.5), Faults(delay_s=-1.0), Faults(cut_every_s=1.0, cut_s=0.9)])
def test_impossible_faults_are_refused_with_what_is_allowed(wrong):
    with pytest.raises(LinkError, match="allowed is"):
        check(wrong)


# --- in memory -------------------------------------------------------------------------------------------------------


def joined(faults, kind="stream"):
    clock, wire = ManualClock(), MemoryWire(Limits())
    end = wire.client()
    return clock, wire, end, FaultyLine(end, faults, 3, clock, kind)


def test_a_line_carries_messages_both_ways_when_their_time_has_come():
    clock, wire, end, line = joined(Faults(delay_s=0.1))
    line.send(b"up")
    end.received.append([b"down", b"too"])
    assert line.read(0) == [] and not wire.inbox
    clock.advance(0.11)
    assert line.read(0) == [b"down", b"too"]
    assert [frame for _, frame in wire.inbox] == [b"up"]


def test_a_reader_that_stops_fills_the_wire_and_then_the_pipe():
    clock, _, end, line = joined(Faults())
    line.reading = False
    for _ in range(40):
        end.received.append([bytes(8192)])
        clock.advance(0.1)
        line.turn()
    assert line.down.bytes == BUFFER_BYTES and len(end.received) == 40 - BUFFER_BYTES // 8192
    line.reading = True
    assert len(line.read(0)) == BUFFER_BYTES // 8192


def test_a_cut_that_ends_the_connection_loses_what_was_under_way():
    faults = Faults(cut_every_s=1.0, cut_s=0.2, ends=1.0)
    clock, wire, end, line = joined(faults)
    clock.advance(cut_number(faults, 3, 0).start_s + 0.01)
    end.received.append([b"late"])
    line.send(b"lost")
    assert line.read(0) == [] and not end.open and not line.open and not wire.inbox


def test_datagrams_may_come_twice_and_out_of_order():
    clock, wire, _, line = joined(Faults(doubled=0.3, held=0.3, held_s=0.5), "datagrams")
    for number in range(100):
        line.send(bytes([number]))
        clock.advance(0.01)
        line.turn()
    clock.advance(1.0)
    line.turn()
    heard = [frame[0] for _, frame in wire.inbox]
    assert set(heard) == set(range(100)) and len(heard) > 110 and heard != sorted(heard)


# --- coming back -----------------------------------------------------------------------------------------------------


def test_back_off_doubles_up_to_its_cap_spreads_evenly_and_begins_anew():
    late = Backoff(lambda: 0.999)
    waits = [late.failed() for _ in range(12)]
    assert waits == sorted(waits) and waits[1] > 1.9 * waits[0] and 7.9 < waits[-1] <= 8.0
    late.succeeded()
    assert late.failed() == waits[0]
    assert Backoff(lambda: 0.0).failed(at_least_s=2.0) == 2.0


# --- over real sockets -----------------------------------------------------------------------------------------------


async def echoed(faults, sent):
    """What comes back through a proxy from a server that echoes, and the proxy's counters."""

    async def echo(reader, writer):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    proxy = Proxy(faults, 5, "127.0.0.1", server.sockets[0].getsockname()[1])
    await proxy.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(sent)
    writer.write_eof()
    back = b""
    with suppress(ConnectionError):
        back = await asyncio.wait_for(reader.read(-1), 30)
    writer.transport.abort()
    await proxy.stop()
    server.close()
    return back, proxy.counters


def test_the_proxy_gives_every_byte_in_order_whatever_it_does_to_time():
    sent = bytes(range(256)) * 400
    faults = Faults(delay_s=0.01, jitter_s=0.02, loss=0.2, stall_s=0.02, rate_bytes_s=2_000_000.0)
    back, counters = asyncio.run(echoed(faults, sent))
    assert back == sent
    assert counters["up_bytes"] == counters["down_bytes"] == len(sent) and counters["stalled"]


def test_the_proxy_ends_a_connection_when_its_schedule_says_so():
    back, counters = asyncio.run(echoed(Faults(delay_s=5.0, cut_every_s=0.4, cut_s=0.2, ends=1.0), b"never"))
    assert back == b"" and counters["ended"] == 1


def test_the_command_line_names_what_it_does_not_allow(capsys):
    assert proxy_main(["--listen", "0", "--to", "127.0.0.1:1", "--stall", "2"]) == 2
    assert "allowed is 0 to 1" in capsys.readouterr().err
