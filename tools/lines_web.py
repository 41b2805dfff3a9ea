"""Many WebSocket clients of an edge in one process, for `tools.swarm --websocket`.

Owns its event loop, which only turns inside `poll`. Frames are opaque here.
"""

import asyncio
import time
from collections import deque

import aiohttp

from server.net.protocol import SUBPROTOCOL
from tools.lines import Arrival, allow_files

MESSAGE_BYTES_MAX = 1 << 20
WAITING_MAX = 256  # frames a client may have waiting for its connection


class WebLines:
    """One WebSocket for each client."""

    def __init__(self, url: str, count: int) -> None:
        allow_files(2 * count)
        self._url = url
        self._loop = asyncio.new_event_loop()
        self._wake = asyncio.Event()
        self._arrived: deque[Arrival] = deque()
        self._sockets: list[aiohttp.ClientWebSocketResponse | None] = [None] * count
        self._waiting: list[list[bytes]] = [[] for _ in range(count)]
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._sends: set[asyncio.Task[None]] = set()
        self._http = self._loop.run_until_complete(self._session())

    async def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    def open(self, bot: int) -> None:
        """See Lines."""
        self.drop(bot)
        self._tasks[bot] = self._loop.create_task(self._serve(bot))

    def drop(self, bot: int) -> None:
        """See Lines."""
        old = self._tasks.pop(bot, None)
        if old is not None:
            old.cancel()
        self._sockets[bot] = None
        self._waiting[bot].clear()

    async def _serve(self, bot: int) -> None:
        try:
            async with self._http.ws_connect(
                self._url, protocols=(SUBPROTOCOL,), max_msg_size=MESSAGE_BYTES_MAX, autoping=True
            ) as socket:
                for frame in self._waiting[bot]:
                    await socket.send_bytes(frame)
                self._waiting[bot].clear()
                self._sockets[bot] = socket
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY:
                        self._arrive(Arrival(bot, (message.data,), time.monotonic_ns()))
        except aiohttp.ClientError:
            pass  # an edge that is not there is a connection that is gone
        self._sockets[bot] = None
        self._arrive(Arrival(bot, (), time.monotonic_ns()))

    def _arrive(self, arrival: Arrival) -> None:
        self._arrived.append(arrival)
        self._wake.set()

    def send(self, bot: int, frame: bytes) -> bool:
        """See Lines."""
        socket = self._sockets[bot]
        if socket is None:
            if bot not in self._tasks or self._tasks[bot].done() or len(self._waiting[bot]) >= WAITING_MAX:
                return False
            self._waiting[bot].append(frame)
            return True
        if socket.closed:
            return False
        task = self._loop.create_task(_send(socket, frame))
        self._sends.add(task)
        task.add_done_callback(self._sends.discard)
        return True

    def poll(self, timeout_s: float) -> list[Arrival]:
        """See Lines."""
        self._loop.run_until_complete(self._turn(timeout_s))
        arrived = list(self._arrived)
        self._arrived.clear()
        self._wake.clear()
        return arrived

    async def _turn(self, timeout_s: float) -> None:
        await asyncio.sleep(0)
        if not self._arrived and timeout_s > 0:
            try:
                await asyncio.wait_for(self._wake.wait(), timeout_s)
            except TimeoutError:
                return

    def close(self) -> None:
        """See Lines."""
        self._loop.run_until_complete(self._shut())
        self._loop.close()

    async def _shut(self) -> None:
        tasks = [*self._tasks.values(), *self._sends]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.close()


async def _send(socket: aiohttp.ClientWebSocketResponse, frame: bytes) -> None:
    try:
        await socket.send_bytes(frame)
    except (aiohttp.ClientError, ConnectionError):
        return  # the reader notices too, and says so
