"""A room server on a plain ZeroMQ ROUTER without security, packed rows. Run: zmq_rows.py PORT HZ.

A client's first message is u16 room, u16 id. After that, in: u32 seq and 84 bytes. Out: u8 1, u8 0, u16 n,
n x (u16 id, u32 seq, 84 bytes).
"""

import struct
import sys
import time

import zmq

STATE = 88
ROW = 2 + STATE


class Hall:
    """One room: its members' routes and their rows, ready to be sent."""

    def __init__(self) -> None:
        self.routes: list[bytes] = []
        self.rows = bytearray(struct.pack("<BBH", 1, 0, 0))


def hear(router: "zmq.Socket[bytes]", halls: dict[int, Hall], places: dict[bytes, tuple[Hall, int]]) -> None:
    """Take what has come."""
    while True:
        try:
            route, state = router.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        place = places.get(route)
        if place is not None and len(state) == STATE:
            hall, at = place
            hall.rows[at : at + STATE] = state
        elif place is None and len(state) == 4:
            room, number = struct.unpack("<HH", state)
            hall = halls.setdefault(room, Hall())
            places[route] = hall, len(hall.rows) + 2
            hall.rows += struct.pack("<H", number) + bytes(STATE)
            hall.routes.append(route)
            struct.pack_into("<H", hall.rows, 2, len(hall.routes))


def show(router: "zmq.Socket[bytes]", hall: Hall) -> None:
    """Everybody's newest state to everybody; the bytes are shared."""
    view = zmq.Frame(bytes(hall.rows))
    for route in hall.routes:
        router.send(route, zmq.SNDMORE)
        router.send(view, copy=False)


def main(port: int, hz: float) -> None:
    """Turn for ever."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    context.set(zmq.MAX_SOCKETS, 8192)
    router = context.socket(zmq.ROUTER)
    router.bind(f"tcp://127.0.0.1:{port}")
    halls: dict[int, Hall] = {}
    places: dict[bytes, tuple[Hall, int]] = {}
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        due = max(due + 1 / hz, time.monotonic())
        while (left := due - time.monotonic()) > 0:
            router.poll(int(left * 1000))
            hear(router, halls, places)
        for hall in halls.values():
            show(router, hall)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
