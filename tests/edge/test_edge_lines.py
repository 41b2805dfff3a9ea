"""Lines and browsers without a server: socket pairs on the edge's own kind of loop, time by hand."""

import asyncio
import socket

import numpy as np
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from server.config import Limits
from server.edge.batch import POSES_EACH, Batch, is_pose, is_pose_frame
from server.edge.browser import CLOSE_S, HEARTBEAT_S, PONG_S, SLOW, Browser
from server.edge.client_frames import Message, unmask
from server.edge.exchange import BEAT_AT_MIN, LEAD_S, next_beat_s
from server.edge.frames import PING_FRAME, close_frame
from server.edge.lines import READ_BYTES, SocketLine, Sockets
from server.sim.poses import POSE
from tests.edge.rough import masked

LIMITS = Limits()


class Pair:
    """A line, and the other end of its connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        ours, self.other = socket.socketpair()
        for one in (ours, self.other):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            one.setblocking(False)
        self.line = SocketLine(ours, loop)

    def browser(self, now_s: float = 0.0) -> Browser:
        return Browser(1, self.line, LIMITS, now_s)

    def read(self) -> bytes:
        """What has come so far."""
        found = b""
        try:
            while piece := self.other.recv(65_536):
                found += piece
        except BlockingIOError:
            pass
        return found

    async def read_all(self, size: int) -> bytes:
        loop, found = asyncio.get_running_loop(), b""
        async with asyncio.timeout(10):
            while len(found) < size and (piece := await loop.sock_recv(self.other, 65_536)):
                found += piece
        return found


def in_loop(story) -> None:
    async def main() -> None:
        pair = Pair(asyncio.get_running_loop())
        try:
            result = story(pair)
            if result is not None:
                await result
        finally:
            pair.line.close()
            pair.other.close()

    uvloop.run(main())


# --- lines ------------------------------------------------------------------------------------------------------------


def test_what_the_system_does_not_take_waits_and_arrives_whole_and_in_order():
    async def story(pair: Pair) -> None:
        frames = [bytes([number]) * 50_000 for number in range(4)]
        taken = [pair.line.write(one, 120_000) for one in frames]
        assert taken[0] and not taken[-1]
        assert 0 < pair.line.waiting <= 120_000
        sent = b"".join(one for one, yes in zip(frames, taken, strict=True) if yes)
        pair.line.finish()
        assert await pair.read_all(len(sent) + 1) == sent  # and then the end, for which it was waited
        assert pair.line.waiting == 0

    in_loop(story)


def test_a_frame_over_the_bound_is_not_begun():
    def story(pair: Pair) -> None:
        assert not pair.line.write(bytes(2000), 1999)
        assert (pair.line.waiting, pair.read()) == (0, b"")

    in_loop(story)


def test_writing_to_a_lost_connection_is_no_error_and_reading_tells_of_it():
    def story(pair: Pair) -> None:
        browser, sockets = pair.browser(), Sockets()
        sockets.add(browser, pair.line)
        pair.other.close()
        assert pair.line.write(b"x", 10) and pair.line.write(b"y", 10)
        assert list(sockets.read()) == [(browser, b"")]
        sockets.remove(pair.line)
        sockets.remove(pair.line)
        assert list(sockets.read()) == []
        sockets.close()

    in_loop(story)


def test_one_browser_is_read_a_little_at_a_time_unless_a_frame_has_begun():
    def story(pair: Pair) -> None:
        browser, sockets = pair.browser(), Sockets()
        sockets.add(browser, pair.line)
        pair.other.send(bytes(3 * READ_BYTES - 10))
        sizes = [len(data) for _ in range(2) for _, data in sockets.read()]
        browser.wanted = READ_BYTES
        sizes += [len(data) for _, data in sockets.read()]
        assert sizes == [READ_BYTES, READ_BYTES, READ_BYTES - 10]
        sockets.close()

    in_loop(story)


# --- browsers ---------------------------------------------------------------------------------------------------------


def hear(browser: Browser, data: bytes, now_s: float = 0.0) -> list[bytes]:
    found: list[Message] = []
    browser.hear(data, now_s, found)
    return [message.data for message in found]


def test_a_ping_is_answered_with_its_payload_and_a_close_with_its_code():
    def story(pair: Pair) -> None:
        browser = pair.browser()
        assert hear(browser, masked(b"one") + masked(b"beat", 0x89) + masked(b"", 0x8A)) == [b"one"]
        assert pair.read() == b"\x8a\x04beat"
        assert hear(browser, masked(b"\x0f\xa0bye", 0x88) + masked(b"late")) == []
        assert pair.read() == close_frame(4000, "")
        assert browser.ending and not browser.plain

    in_loop(story)


def test_whoever_is_told_to_go_has_a_while_to_go_and_is_not_heard():
    def story(pair: Pair) -> None:
        browser = pair.browser()
        browser.end(1012, "restart", 5.0)
        browser.end(1009, "once is enough", 6.0)
        assert pair.read() == close_frame(1012, "restart")
        assert hear(browser, masked(b"late") + masked(b"", 0x89), 5.5) == []
        assert pair.read() == b""
        assert browser.due_s == 5.0 + CLOSE_S and browser.overdue(7.0)

    in_loop(story)


def test_a_reader_too_slow_for_control_frames_is_let_go_at_once():
    def story(pair: Pair) -> None:
        browser = pair.browser()
        browser.end(SLOW, "slow", 5.0)
        assert pair.read() == b"" and browser.due_s == 5.0 and browser.overdue(5.0)

    in_loop(story)


def test_the_silent_are_asked_and_let_go_when_they_do_not_answer():
    def story(pair: Pair) -> None:
        browser = pair.browser()
        hear(browser, masked(b"hello"), 1.0)
        assert not browser.overdue(5.0)
        assert browser.due_s == 1.0 + HEARTBEAT_S and pair.read() == b""
        assert not browser.overdue(16.0)
        assert pair.read() == PING_FRAME and browser.due_s == 16.0 + PONG_S
        hear(browser, masked(b"", 0x8A), 20.0)
        assert not browser.overdue(23.5)
        assert browser.due_s == 20.0 + HEARTBEAT_S and pair.read() == b""
        assert not browser.overdue(35.0)
        assert pair.read() == PING_FRAME
        assert browser.overdue(42.5)

    in_loop(story)


def test_a_flood_of_pings_or_fragments_ends_the_connection_but_a_long_life_of_them_does_not():
    def story(pair: Pair) -> None:
        browser = pair.browser()
        for second in range(600):
            hear(browser, masked(b"", 0x8A) * 2 + masked(b"a", 0x02) + masked(b"b", 0x80), float(second))
        assert not browser.ending
        hasty = Browser(2, pair.line, LIMITS, 0.0)
        hear(hasty, masked(b"", 0x8A) * 65, 0.0)
        assert hasty.ending and pair.read().startswith(b"\x88") and hasty.due_s == CLOSE_S

    in_loop(story)


# --- the batch --------------------------------------------------------------------------------------------------------

poses = st.builds(lambda tail: b"\x10" + tail, st.binary(min_size=38, max_size=38))
said = st.tuples(
    st.integers(0, 2), st.one_of(st.binary(min_size=1, max_size=60), poses), st.binary(min_size=4, max_size=4)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(said, max_size=20), max_size=3))
def test_a_batch_holds_what_was_said_in_order_within_its_bounds(ticks):
    def story(pair: Pair) -> None:
        batch = Batch(3)
        browsers = [Browser(conn, pair.line, LIMITS, 0.0) for conn in (5, 6, 7)]
        for tick in ticks:
            rows: list[tuple[int, bytes]] = []
            posed: list[tuple[int, bytes]] = []
            for who, message, mask in tick:
                conn = browsers[who].conn
                if not is_pose(message):
                    fits = sum(row[0] == conn for row in rows) < 3
                    assert batch.add_message(browsers[who], message) is fits
                    rows += [(conn, message)] * fits
                    continue
                frame = masked(message, mask=mask)
                assert is_pose_frame(frame) and unmask(frame[6:], mask) == message
                mine = [at for at, one in enumerate(posed) if one[0] == conn]
                fits = len(mine) < POSES_EACH
                added = (
                    batch.add_pose(browsers[who], message)
                    if mask[0] & 1
                    else batch.add_pose_frame(browsers[who], frame)
                )
                assert added is fits
                if fits:
                    posed.append((conn, message))
                else:
                    posed[mine[-1]] = (conn, message)
            taken = batch.take()
            if taken is None:
                assert not rows and not posed
                continue
            assert taken.rows == rows
            assert np.frombuffer(taken.conns, "<u4").tolist() == [conn for conn, _ in posed]
            assert taken.poses == b"".join(pose for _, pose in posed)
            newest = dict(posed)
            for browser in browsers:
                if browser.conn in newest:
                    assert browser.yaw == np.frombuffer(newest[browser.conn], POSE)["yaw"][0]

    in_loop(story)


@pytest.mark.parametrize("data", [b"", masked(b"\x11" + bytes(38)), masked(b"\x10" + bytes(37)), masked(b"\x10" * 40),
                                  masked(b"\x10" * 39, 0x02), masked(b"\x10" * 39)[:-1]])  # fmt: skip
def test_other_bytes_are_no_pose_frame(data):
    assert not is_pose_frame(data)


@settings(deadline=None)
@given(st.floats(0, 1e5), st.floats(0, 0.999), st.floats(1 / 90, 1 / 20), st.floats(0, 0.03))
def test_beats_come_once_a_tick_and_are_done_before_the_shard_drains(now_s, since_s, dt_s, took_s):
    wait_s = next_beat_s(now_s, now_s - since_s, dt_s, took_s)
    assert dt_s / 2 <= wait_s < dt_s * 1.5 + 1e-9
    left_s = dt_s - (since_s + wait_s) % dt_s
    assert left_s == pytest.approx(min(LEAD_S + 2 * took_s, (1 - BEAT_AT_MIN) * dt_s), abs=1e-4)


def test_without_snapshots_to_go_by_beats_are_half_a_tick_apart():
    assert next_beat_s(100.0, 0.0, 1 / 30, 0.0) == next_beat_s(0.0, 1.0, 1 / 30, 0.0) == 1 / 60
