"""The C functions that compiled loops of connections call: sockets, epoll and the clock of libc, boxes of libsodium.

Owns their signatures and finding libsodium (pyzmq's wheels bring the one their libzmq uses). Pointers are plain
addresses here. Never opens a socket.
"""

import ctypes
import ctypes.util
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import llvmlite.binding as llvm
import numpy as np
import zmq
from numba import njit, types

AGAIN, INTERRUPTED = 11, 4
MSG_DONTWAIT, MSG_NOSIGNAL = 0x40, 0x4000
CLOCK_MONOTONIC = 1
# A struct epoll_event is packed on x86-64 only: its words of 32 bits, and where in them the descriptor is.
EVENT_WORDS, EVENT_FD = (3, 1) if platform.machine() in ("x86_64", "AMD64") else (4, 2)
KEY_BYTES, NONCE_BYTES, BOX_BYTES = 32, 24, 16

_address, _size, _int = types.uintp, types.uintp, types.int32


def _function(name: str, signature: Any) -> Callable[..., Any]:
    """A C function by its symbol, to be called from compiled code only."""
    return cast("Callable[..., Any]", types.ExternalFunction(name, signature))


recv = _function("recv", types.intp(_int, _address, _size, _int))
send = _function("send", types.intp(_int, _address, _size, _int))
epoll_wait = _function("epoll_wait", _int(_int, _address, _int, _int))
clock_gettime = _function("clock_gettime", _int(_int, _address))
memmove = _function("memmove", _address(_address, _address, _size))
errno_location = _function("__errno_location", _address())
box_seal = _function("crypto_box_easy_afternm", _int(_address, _address, types.uint64, _address, _address))
box_open = _function("crypto_box_open_easy_afternm", _int(_address, _address, types.uint64, _address, _address))


@njit(cache=True)
def errno() -> int:
    """Of the last call of this thread."""
    value = np.zeros(1, np.int32)
    memmove(np.uintp(value.ctypes.data), errno_location(), np.uintp(4))
    return int(value[0])


def find_sodium() -> str:
    """Path of libsodium; raises OSError if there is none."""
    beside = Path(zmq.__file__).parent.parent / "pyzmq.libs"
    found = sorted(str(path) for path in beside.glob("libsodium*"))
    path = found[0] if found else ctypes.util.find_library("sodium")
    if not path:
        raise OSError("libsodium was not found: pyzmq's wheels bring it, or install the system's")
    return path


def load_sodium() -> ctypes.CDLL:
    """libsodium for Python, and its symbols for compiled code. Raises OSError."""
    path = find_sodium()
    library = ctypes.CDLL(path)
    if library.sodium_init() < 0:
        raise OSError("libsodium cannot be initialised")
    llvm.load_library_permanently(path)
    return library
