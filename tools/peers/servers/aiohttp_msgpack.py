"""A room server in aiohttp on uvloop, with MessagePack. Run: aiohttp_msgpack.py PORT HZ.

A client connects to /ROOM/ID. In: {seq, head, left, right}, each a list of 7 numbers. Out: a list of those with `id`.
"""

import asyncio
import sys
from collections import defaultdict
from typing import Any

import msgpack
import uvloop
from aiohttp import WSMsgType, web

rooms: dict[str, dict[web.WebSocketResponse, dict[str, Any]]] = defaultdict(dict)


async def person(request: web.Request) -> web.WebSocketResponse:
    """One connection: keep the newest state of it."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    number, members = int(request.match_info["id"]), rooms[request.match_info["room"]]
    members[socket] = {"id": number, "seq": 0}
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                state = msgpack.unpackb(message.data)
                state["id"] = number
                members[socket] = state
    finally:
        del members[socket]
    return socket


async def show(members: dict[web.WebSocketResponse, dict[str, Any]]) -> None:
    """Everybody's newest state to everybody."""
    view = msgpack.packb(list(members.values()))
    for socket in list(members):
        try:
            await socket.send_bytes(view)
        except ConnectionError:
            continue  # its own handler ends it


async def main(port: int, hz: float) -> None:
    """Turn for ever."""
    app = web.Application()
    app.router.add_get("/{room}/{id}", person)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due = max(due + 1 / hz, loop.time())
        await asyncio.sleep(due - loop.time())
        for members in list(rooms.values()):
            await show(members)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
