"""A room server as its tutorial has it: websockets.broadcast and MessagePack. Run: websockets_msgpack.py PORT HZ.

A client connects to /ROOM/ID. In: {seq, head, left, right}, each a list of 7 numbers. Out: a list of those with `id`.
"""

import asyncio
import sys
from collections import defaultdict
from typing import Any

import msgpack
from websockets.asyncio.server import ServerConnection, broadcast, serve

rooms: dict[str, dict[ServerConnection, dict[str, Any]]] = defaultdict(dict)


async def person(socket: ServerConnection) -> None:
    """One connection: keep the newest state of it."""
    assert socket.request is not None
    room, number = socket.request.path.strip("/").split("/")
    members = rooms[room]
    members[socket] = {"id": int(number), "seq": 0}
    try:
        async for message in socket:
            state = msgpack.unpackb(message)
            state["id"] = int(number)
            members[socket] = state
    finally:
        del members[socket]


async def main(port: int, hz: float) -> None:
    """Turn for ever."""
    async with serve(person, "127.0.0.1", port, compression=None):
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + 1 / hz, loop.time())
            await asyncio.sleep(due - loop.time())
            for members in rooms.values():
                broadcast(members.keys(), msgpack.packb(list(members.values())))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
