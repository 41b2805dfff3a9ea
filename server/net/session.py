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

from server.config import Limits
from server.net.messages import Bye, ClientMessage, Hello, client_decoder
from server.net.protocol import message_types
from server.sim.poses import POINTING, POSE, POSE_KIND, RAISED, SPEAKING
from server.sim.rotation import rotation_valid

POSE_STRUCT = struct.Struct("<BIhhHHI3hI3hIBB")
assert POSE_STRUCT.size == POSE.itemsize
YAW_MAX = 1023
HEAD_Y_MM_MAX = 4095
FLAGS_ALLOWED = SPEAKING | RAISED | POINTING
HELLO_BYTES_MAX = 2048
FIRST_MESSAGE_BYTE = 0x80  # MessagePack arrays start at 0x80; binary frames are below


class ProtocolError(ValueError):
    """What a peer did wrong. `code` is stable and counted; the text says what was got and what is allowed."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


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
    """A verified peer's state. `receive` is the only way in; after a ProtocolError the session is closed."""

    __slots__ = ("_bytes", "_limits", "_messages", "seq", "state")

    def __init__(self, limits: Limits, now_s: float) -> None:
        self.state = State.ACTIVE
        self.seq = 0  # newest accepted; the first must be at least 1
        self._limits = limits
        self._bytes = Bucket(limits.bytes_per_s, now_s)
        self._messages = Bucket(limits.messages_per_s, now_s)

    def receive(self, frame: bytes, now_s: float) -> ClientFrame:
        """The message in a frame. Raises ProtocolError, and nothing else, for any bytes whatever; then it is closed."""
        try:
            if self.state is State.CLOSED:
                raise ProtocolError("closed", "the session is over; connect anew")
            self._check_rates(frame, now_s)
            message = parse(frame)
            following = after(self.state, message)
            self._check_sequence(message)
        except ProtocolError:
            self.state = State.CLOSED
            raise
        self.state = following
        return message

    def _check_rates(self, frame: bytes, now_s: float) -> None:
        limits = self._limits
        if not 0 < len(frame) <= limits.frame_bytes_max:
            raise ProtocolError("size", f"a frame has {len(frame)} bytes, allowed is 1 to {limits.frame_bytes_max}")
        if not self._messages.take(1.0, now_s):
            raise ProtocolError("rate-messages", f"more than {limits.messages_per_s} messages a second")
        if not self._bytes.take(float(len(frame)), now_s):
            raise ProtocolError("rate-bytes", f"more than {limits.bytes_per_s} bytes a second")

    def _check_sequence(self, message: ClientFrame) -> None:
        if isinstance(message, Hello | Bye):
            return
        if message.seq <= self.seq:
            raise ProtocolError("sequence", f"seq is {message.seq}, it must be over {self.seq}")
        self.seq = message.seq


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
