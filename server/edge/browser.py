"""One browser's WebSocket after its handshake: what it says, when it was heard, how it ends.

Owns the control frames of RFC 6455 and every time-out of a connection. Messages are opaque; where they go, and what a
browser is shown, is the exchange's business. Reads no clock, opens nothing.
"""

from server.config import Limits
from server.edge.client_frames import BINARY, CLOSE, PING, FrameError, Message, Reader
from server.edge.frames import PING_FRAME, close_frame, pong_frame
from server.edge.lines import Line

HEARTBEAT_S = 15.0  # silent for so long: a ping
PONG_S = 7.5  # silent for so much longer: gone
CLOSE_S = 2.0  # for a browser to go once it was told to
EXTRAS_AT_ONCE, EXTRAS_PER_S = 64, 8  # pings, pongs and frames of fragmented messages
CLOSE_ROOM = 128  # bytes a Close frame has at most
CONTROL_WAITING_MAX = 4096  # bytes of ours on a connection before pongs are left out
NOT_KNOWN = -1  # the yaw of one who sent no pose yet
NORMAL, POLICY, SLOW = 1000, 1008, 1013  # close codes


class Browser:
    """A connection from its first byte after the handshake to its last."""

    __slots__ = (
        "batch", "conn", "due_s", "ending", "greeted", "heard_s", "line", "opened_s", "pinged", "plain", "pose_at",
        "poses", "reader", "rows", "wanted", "yaw",
    )  # fmt: skip

    def __init__(self, conn: int, line: Line, limits: Limits, now_s: float) -> None:
        self.conn, self.line = conn, line
        self.reader = Reader(limits.frame_bytes_max)
        self.wanted = 0  # bytes missing of the frame that has begun
        self.opened_s = self.heard_s = now_s
        self.due_s = now_s + limits.hello_timeout_s  # when to look after it
        self.greeted = self.pinged = self.ending = False
        self.plain = False  # whether the next byte begins a message of one who is greeted and not ending
        self.batch = self.rows = self.poses = self.pose_at = 0  # kept by the batch of that number
        self.yaw = NOT_KNOWN  # of its newest pose, 1/1024 turn

    def hear(self, data: bytes, now_s: float, found: list[Message]) -> bool:
        """Answer control frames and add the messages that `data` completes to `found`; False for a broken stream."""
        messages: list[Message] = []
        fault: FrameError | None = None
        try:
            self.reader.take(data, messages)
        except FrameError as error:
            fault = error
        self.heard_s, self.wanted = now_s, self.reader.wanted
        for message in messages:
            if message.kind == CLOSE and fault is None:
                self.end(int.from_bytes(message.data[:2], "big") or NORMAL, "", now_s)
                self.line.finish()
            elif message.kind == BINARY and not self.ending:
                found.append(message)
            elif message.kind == PING and not self.ending:
                self.line.write(pong_frame(message.data), CONTROL_WAITING_MAX)
        if fault is None and self.reader.extras > EXTRAS_AT_ONCE + EXTRAS_PER_S * (now_s - self.opened_s):
            fault = FrameError(POLICY, "too many control frames and fragments")
        if fault is not None:
            self.end(fault.code, str(fault), now_s)
        self.plain = self.greeted and not self.ending and self.reader.clean
        return fault is None

    def end(self, code: int, reason: str, now_s: float) -> None:
        """Say Close and nothing more. The connection is let go when the browser closes it, or CLOSE_S later.

        A reader too slow for control frames would never read why: it is let go the next time somebody looks.
        """
        if self.ending:
            return
        self.ending, self.plain = True, False
        self.due_s = now_s
        if code != SLOW:
            self.line.write(close_frame(code, reason), self.line.waiting + CLOSE_ROOM)
            self.due_s += CLOSE_S

    def overdue(self, now_s: float) -> bool:
        """Look after a connection whose `due_s` has come and that has said hello; True if it is to be let go."""
        if self.ending:
            return True
        silent_s = now_s - self.heard_s
        if silent_s < HEARTBEAT_S:
            self.due_s, self.pinged = self.heard_s + HEARTBEAT_S, False
        elif not self.pinged:
            self.line.write(PING_FRAME, CONTROL_WAITING_MAX)
            self.due_s, self.pinged = now_s + PONG_S, True
        else:
            return True
        return False
