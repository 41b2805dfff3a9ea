"""One client's end of the protocol, without a socket: frames in, checked messages out, in the states they are allowed.

Owns the state table, the sequence, the rates and every refusal of a frame. Never checks meaning (the world does), never
verifies tokens (`net.token`), never sends. Whatever a client can cause is a ProtocolError with a stable, counted code.
A new peer has no Session: nothing is kept for it until its hello (`read_hello`) was verified.
"""

import struct
from enum import Enum
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from server.config import Limits
from server.net.messages import Bye, ClientMessage, Hello, client_decoder
from server.net.protocol import message_types
from server.net.uplink import BURST_S, FLAGS_ALLOWED, HEAD_Y_MM_MAX, YAW_MAX, Columns, new_columns
from server.sim.poses import POSE, POSE_KIND
from server.sim.rotation import rotation_valid

POSE_STRUCT = struct.Struct("<BIhhHHI3hI3hIBB")
assert POSE_STRUCT.size == POSE.itemsize
HELLO_BYTES_MAX = 2048
FIRST_MESSAGE_BYTE = 0x80  # MessagePack arrays start at 0x80; binary frames are below


class ProtocolError(ValueError):
    """What a peer did wrong. `code` is stable and counted; the text says what was got and what is allowed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def wrong_size(size: int, limits: Limits) -> ProtocolError:
    """A frame is empty or too long."""
    return ProtocolError("size", f"a frame has {size} bytes, allowed is 1 to {limits.frame_bytes_max}")


def too_many(limits: Limits) -> ProtocolError:
    """More frames than the rate allows."""
    return ProtocolError("rate-messages", f"more than {limits.messages_per_s} messages a second")


def too_much(limits: Limits) -> ProtocolError:
    """More bytes than the rate allows."""
    return ProtocolError("rate-bytes", f"more than {limits.bytes_per_s} bytes a second")


def out_of_order(seq: int, newest: int) -> ProtocolError:
    """A number that does not ascend."""
    return ProtocolError("sequence", f"seq is {seq}, it must be over {newest}")


class Pose(NamedTuple):
    """An accepted pose: its sequence number and the 39 bytes as they came (`sim.poses.POSE`)."""

    seq: int
    raw: bytes

    @property
    def row(self) -> np.void:
        """As one row of a pose batch."""
        row: np.void = np.frombuffer(self.raw, POSE)[0]
        return row


class State(Enum):
    """Where a session stands."""

    NEW = "new"
    ACTIVE = "active"
    CLOSED = "closed"


ClientFrame = Pose | ClientMessage
CLIENT_TYPES: tuple[type, ...] = (Pose, *message_types(ClientMessage))
TRANSITIONS: dict[tuple[State, type], State] = {
    (State.NEW, Hello): State.ACTIVE,
    (State.ACTIVE, Bye): State.CLOSED,
} | {(State.ACTIVE, kind): State.ACTIVE for kind in CLIENT_TYPES if kind not in (Hello, Bye)}


class Bucket:
    """A token bucket: `rate` a second, twice that at once."""

    __slots__ = ("left", "rate", "then_s")

    def __init__(self, rate: float, now_s: float) -> None:
        self.rate = rate
        self.left = 2.0 * rate
        self.then_s = now_s

    def take(self, amount: float, now_s: float) -> bool:
        """Take `amount`, or nothing if there is not enough left."""
        self.left = min(2.0 * self.rate, self.left + max(0.0, now_s - self.then_s) * self.rate)
        self.then_s = now_s
        if amount > self.left:
            return False
        self.left -= amount
        return True


def after(state: State, message: ClientFrame) -> State:
    """The state a message leads to. Raises ProtocolError if it is not in the table."""
    following = TRANSITIONS.get((state, type(message)))
    if following is None:
        raise ProtocolError("out-of-state", f"{type(message).__name__} is not allowed while a session is {state.value}")
    return following


def read_hello(frame: bytes) -> Hello:
    """The hello in a new peer's first frame. Raises ProtocolError, and nothing else, for any other bytes whatever."""
    if not 0 < len(frame) <= HELLO_BYTES_MAX:
        raise ProtocolError("size", f"a first frame has {len(frame)} bytes, allowed is 1 to {HELLO_BYTES_MAX}")
    message = parse(frame)
    after(State.NEW, message)
    assert isinstance(message, Hello), "the table lets nothing else begin a session"
    return message


class Session:
    """A verified peer's state. `receive` is the way in for a frame; after a ProtocolError the session is closed.

    The state is a row of `columns`, which `net.sessions` shares with the kernel that takes the poses of a tick. Poses
    and other messages each have their own ascending `seq`.
    """

    __slots__ = ("_columns", "_limits", "row")

    def __init__(self, limits: Limits, now_s: float, columns: Columns | None = None, row: int = 0) -> None:
        self._limits = limits
        self._columns = columns or new_columns(1)
        self.row = row
        self._columns.live[row] = True
        self._columns.pose_seq[row] = self._columns.seq[row] = 0  # newest accepted; the first must be at least 1
        self._columns.messages[row] = BURST_S * limits.messages_per_s
        self._columns.size[row] = BURST_S * limits.bytes_per_s
        self._columns.then_s[row] = self._columns.heard_s[row] = now_s

    @property
    def state(self) -> State:
        """Where the session stands."""
        return State.ACTIVE if self._columns.live[self.row] else State.CLOSED

    def move(self, columns: Columns) -> None:
        """The state is in the same row of other columns now."""
        self._columns = columns

    def close(self) -> None:
        """Nothing more is taken."""
        self._columns.live[self.row] = False

    def receive(self, frame: bytes, now_s: float) -> ClientFrame:
        """The message in a frame. Raises ProtocolError, and nothing else, for any bytes whatever; then it is closed."""
        try:
            if self.state is State.CLOSED:
                raise ProtocolError("closed", "the session is over; connect anew")
            self._columns.heard_s[self.row] = now_s
            self._check_rates(len(frame), now_s)
            message = parse(frame)
            following = after(self.state, message)
            self._check_sequence(message)
        except ProtocolError:
            self.close()
            raise
        if following is State.CLOSED:
            self.close()
        return message

    def _check_rates(self, size: int, now_s: float) -> None:
        limits, columns, row = self._limits, self._columns, self.row
        if not 0 < size <= limits.frame_bytes_max:
            raise wrong_size(size, limits)
        passed_s = max(0.0, now_s - columns.then_s[row])
        columns.then_s[row] = now_s
        if not self._take(columns.messages, limits.messages_per_s, 1, passed_s):
            raise too_many(limits)
        if not self._take(columns.size, limits.bytes_per_s, size, passed_s):
            raise too_much(limits)

    def _take(self, left: npt.NDArray[np.float64], rate: int, amount: int, passed_s: float) -> bool:
        """Take `amount` from a token bucket, or nothing if there is not enough left."""
        row = self.row
        left[row] = min(BURST_S * rate, left[row] + passed_s * rate)
        if left[row] < amount:
            return False
        left[row] -= amount
        return True

    def _check_sequence(self, message: ClientFrame) -> None:
        if isinstance(message, Hello | Bye):
            return
        newest = self._columns.pose_seq if isinstance(message, Pose) else self._columns.seq
        if message.seq <= newest[self.row]:
            raise out_of_order(message.seq, int(newest[self.row]))
        newest[self.row] = message.seq


def parse(frame: bytes) -> ClientFrame:
    """The message in a frame of at least one byte and allowed size. Raises ProtocolError."""
    return parse_pose(frame) if frame[0] < FIRST_MESSAGE_BYTE else parse_message(frame)


def parse_pose(frame: bytes) -> Pose:
    """A pose frame, every field in its range. Raises ProtocolError."""
    if frame[0] != POSE_KIND:
        raise ProtocolError("kind", f"frame kind {frame[0]} is not one a client may send")
    if len(frame) != POSE_STRUCT.size:
        raise ProtocolError("pose", f"a pose has {len(frame)} bytes, it must have {POSE_STRUCT.size}")
    row = POSE_STRUCT.unpack(frame)
    seq, yaw, head_y, flags = row[1], row[4], row[5], row[16]
    if yaw > YAW_MAX or head_y > HEAD_Y_MM_MAX:
        allowed = f"allowed is up to {YAW_MAX} and {HEAD_Y_MM_MAX}"
        raise ProtocolError("pose", f"yaw is {yaw}, head height {head_y} mm; {allowed}")
    if flags & ~FLAGS_ALLOWED:
        raise ProtocolError("pose", f"flags are {flags}, a client may set {FLAGS_ALLOWED}")
    if not (rotation_valid(row[6]) and rotation_valid(row[10]) and rotation_valid(row[14])):
        raise ProtocolError("pose", "a rotation field is 1023, allowed is 0 to 1022")
    return Pose(seq, bytes(frame))


def parse_message(frame: bytes) -> ClientMessage:
    """A MessagePack frame as the struct its tag names. Raises ProtocolError."""
    try:
        message: ClientMessage = client_decoder.decode(frame)
    except msgspec.ValidationError as bad:
        raise ProtocolError("message", f"a message breaks its schema: {_safe(bad)}") from None
    except (ValueError, RecursionError):
        raise ProtocolError("encoding", "a frame is not one MessagePack array of an allowed kind") from None
    return message


def _safe(bad: msgspec.ValidationError) -> str:
    """The validator's words, cut short: they name types, limits and places. The one that echoes a value is replaced."""
    words = str(bad)
    if words.startswith("Invalid enum value"):
        words = f"a value that is not among those allowed - at {words.rpartition(' - at ')[2]}"
    return words[:160]
