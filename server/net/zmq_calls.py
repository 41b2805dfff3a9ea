"""libzmq called from compiled loops: what native peers sent, and one snapshot for many of them, without Python between.

Owns these calls and nothing else: no socket, no option, no table. `AVAILABLE` is False where the library cannot be
called by address; `net.transport` then does the same with pyzmq. A socket is passed as the address of its handle and
must be used by the calling thread alone.
"""

import ctypes
import errno
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import binding
from numba import njit, types
from zmq.backend.cython import _zmq

from server.net.gate import MUTED, ROUTE_BYTES, USER_BYTES, Known, find
from server.net.uplink import POSE_BYTES, RawPoses, Rows
from server.sim.poses import POSE_KIND

NAMES = (
    "zmq_msg_init", "zmq_msg_init_size", "zmq_msg_copy", "zmq_msg_close", "zmq_msg_data", "zmq_msg_size",
    "zmq_msg_more", "zmq_msg_gets", "zmq_msg_recv", "zmq_msg_send", "zmq_send", "zmq_getsockopt", "zmq_errno",
)  # fmt: skip
USER_ID = b"User-Id\0"
MSG_WORDS = 8  # of a zmq_msg_t
NOBLOCK, SNDMORE, EVENTS = 1, 2, 15
EAGAIN, EINTR, EHOSTUNREACH = errno.EAGAIN, errno.EINTR, errno.EHOSTUNREACH
SENT, FULL, LOST = 0, 1, 2

Bytes = npt.NDArray[np.uint8]


def _find_library() -> bool:
    """Make the functions of the libzmq that pyzmq uses known to the compiler; False if they cannot be found."""
    try:
        library = ctypes.CDLL(_zmq.__file__)
        for name in NAMES:
            address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            binding.add_symbol(name, address)
    except (OSError, AttributeError):
        return False
    return True


AVAILABLE = _find_library()


def _foreign(name: str, answer: Any, *given: Any) -> Any:
    """A function of the library, to be called from compiled code only."""
    return types.ExternalFunction(name, answer(*given))


_address, _size, _status = types.uintp, types.uintp, types.int32
msg_init = _foreign("zmq_msg_init", _status, _address)
msg_init_size = _foreign("zmq_msg_init_size", _status, _address, _size)
msg_copy = _foreign("zmq_msg_copy", _status, _address, _address)
msg_close = _foreign("zmq_msg_close", _status, _address)
msg_data = _foreign("zmq_msg_data", _address, _address)
msg_size = _foreign("zmq_msg_size", _size, _address)
msg_more = _foreign("zmq_msg_more", _status, _address)
msg_gets = _foreign("zmq_msg_gets", _address, _address, _address)
msg_recv = _foreign("zmq_msg_recv", _status, _address, _address, _status)
msg_send = _foreign("zmq_msg_send", _status, _address, _address, _status)
send = _foreign("zmq_send", _status, _address, _address, _size, _status)
getsockopt = _foreign("zmq_getsockopt", _status, _address, _status, _address, _address)
last_errno = _foreign("zmq_errno", _status)
copy_bytes = _foreign("memcpy", _address, _address, _address, _size)


class Inbox(NamedTuple):
    """Room for what is read: poses of known peers as rows, everything else one after another in `other`."""

    rows: Rows  # (m,)
    raw: RawPoses  # (m, 39)
    sizes: Rows  # (j,) of the other frames, without what stands before them
    other: Bytes  # route, User-Id, frame; for each of them


class Read(NamedTuple):
    """What one call of `read_peers` did."""

    poses: int
    others: int
    multipart: int
    chosen_route: int
    late: int


def new_inbox(frames: int, others: int, other_bytes: int) -> Inbox:
    """Room for so many."""
    raw = np.empty((frames, POSE_BYTES), np.uint8)
    return Inbox(np.empty(frames, np.int64), raw, np.empty(others, np.int64), np.empty(other_bytes, np.uint8))


@njit(cache=True)
def begin(socket: int, route: int) -> int:
    """Begin a message to a peer; its other parts never block. Returns SENT, FULL or LOST.

    libzmq takes note of room made in its pipes about once a millisecond; asking for EVENTS makes it do so at once.
    """
    asked = False
    while True:
        if send(socket, route, ROUTE_BYTES, NOBLOCK | SNDMORE) >= 0:
            return SENT
        error = last_errno()
        if error == EHOSTUNREACH:
            return LOST
        if error == EINTR:
            continue
        if error != EAGAIN:
            return LOST
        if asked:
            return FULL
        asked = True
        events, size = np.zeros(1, np.int32), np.full(1, 4, np.uint64)
        getsockopt(socket, EVENTS, events.ctypes.data, size.ctypes.data)


@njit(cache=True)
def send_to_all(socket: int, routes: Bytes, frame: Bytes, outcomes: Bytes) -> int:
    """Send `frame` (size,) to each of `routes` (n, 5) as one message, its bytes shared; returns how many were sent.

    What became of each is in `outcomes` (n,): SENT, FULL or LOST.
    """
    messages = np.zeros(2 * MSG_WORDS, np.int64)
    source, copy = messages.ctypes.data, messages[MSG_WORDS:].ctypes.data
    sent = 0
    if msg_init_size(source, frame.shape[0]) < 0:
        outcomes[:] = FULL
        return 0
    copy_bytes(msg_data(source), frame.ctypes.data, frame.shape[0])
    for index in range(routes.shape[0]):
        outcomes[index] = begin(socket, routes[index].ctypes.data)
        if outcomes[index] != SENT:
            continue
        msg_init(copy)
        msg_copy(copy, source)
        if msg_send(copy, socket, 0) < 0:
            msg_close(copy)
            outcomes[index] = LOST
        else:
            sent += 1
    msg_close(source)
    return sent


@njit(cache=True)
def same(one: Bytes, other: Bytes) -> bool:
    """Whether two runs of bytes are equal."""
    for index in range(one.shape[0]):  # noqa: SIM110 - compiled code has no all()
        if one[index] != other[index]:
            return False
    return True


@njit(cache=True)
def receive(message: int, socket: int) -> int:
    """Read the next part into `message`; its size, or -1 if nothing waits. A signal in between changes nothing."""
    while True:
        size: int = msg_recv(message, socket, NOBLOCK)
        if size >= 0 or last_errno() != EINTR:
            return size


@njit(cache=True)
def drop_rest(socket: int, message: int) -> None:
    """Read and forget the other parts of a message."""
    while msg_more(message):
        if receive(message, socket) < 0:
            return


@njit(cache=True)
def row_of(route: Bytes, user: Bytes, known: Known) -> int:
    """The row of a known peer, MUTED, or -1 if it is none or its connection has not proved the key it was known by."""
    key = 0
    for index in range(1, ROUTE_BYTES):
        key = key << 8 | route[index]
    at = find(known.keys, key)
    if at < 0:
        return -1
    row = known.rows[at]
    return row if row < 0 or same(user, known.users[row]) else -1


@njit(cache=True)
def read_peers(socket: int, property_name: Bytes, known: Known, frame_bytes_max: int, inbox: Inbox) -> Read:
    """Read what waits on the native ROUTER, fair between peers as libzmq is, until nothing does or the inbox is full.

    A message is read only while there is room for the largest of its kind, so none is ever cut.
    """
    messages = np.zeros(2 * MSG_WORDS, np.int64)
    first, second = messages.ctypes.data, messages[MSG_WORDS:].ctypes.data
    route, user = np.empty(ROUTE_BYTES, np.uint8), np.empty(USER_BYTES, np.uint8)
    poses = others = multipart = chosen = late = used = 0
    head = ROUTE_BYTES + USER_BYTES
    msg_init(first)
    msg_init(second)
    while poses < inbox.rows.shape[0] and others < inbox.sizes.shape[0]:
        if used + head + frame_bytes_max > inbox.other.shape[0] or receive(first, socket) < 0:
            break
        if not msg_more(first) or receive(second, socket) < 0:
            continue
        if msg_more(second):
            multipart += 1
            drop_rest(socket, second)
            continue
        proved, size = msg_gets(second, property_name.ctypes.data), msg_size(second)
        if msg_size(first) == ROUTE_BYTES:
            copy_bytes(route.ctypes.data, msg_data(first), ROUTE_BYTES)
        if msg_size(first) != ROUTE_BYTES or route[0] != 0 or proved == 0 or size > frame_bytes_max:
            chosen += 1
            continue
        copy_bytes(user.ctypes.data, proved, USER_BYTES)
        row = row_of(route, user, known)
        if row == MUTED:
            late += 1
            continue
        if row >= 0 and size == POSE_BYTES:
            copy_bytes(inbox.raw[poses].ctypes.data, msg_data(second), POSE_BYTES)
            if inbox.raw[poses, 0] == POSE_KIND:
                inbox.rows[poses] = row
                poses += 1
                continue
        inbox.other[used : used + ROUTE_BYTES] = route
        inbox.other[used + ROUTE_BYTES : used + head] = user
        copy_bytes(inbox.other[used + head :].ctypes.data, msg_data(second), size)
        inbox.sizes[others] = size
        used += head + size
        others += 1
    msg_close(first)
    msg_close(second)
    return Read(poses, others, multipart, chosen, late)


def others_of(inbox: Inbox, count: int) -> Iterator[tuple[bytes, str, bytes]]:
    """Route, User-Id and frame of each message that is no pose of a known peer."""
    data, at = inbox.other.data, 0
    for size in inbox.sizes[:count].tolist():
        user, frame = at + ROUTE_BYTES, at + ROUTE_BYTES + USER_BYTES
        yield bytes(data[at:user]), str(data[user:frame], "ascii"), bytes(data[frame : frame + size])
        at = frame + size


def prime() -> None:
    """Compile the loops."""
    if AVAILABLE:
        nothing, no_rows = np.frombuffer(b"", np.uint8), np.zeros(0, np.int64)
        known = Known(no_rows, no_rows, np.zeros((0, USER_BYTES), np.uint8))
        send_to_all(0, nothing.reshape(-1, ROUTE_BYTES), nothing, np.zeros(0, np.uint8))
        read_peers(0, np.frombuffer(USER_ID, np.uint8), known, 1, new_inbox(0, 0, 0))
