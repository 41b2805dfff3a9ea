"""The faulty wire over real sockets: a TCP proxy in userspace that carries any protocol, ZeroMQ and WebSocket alike.

Owns the sockets and the queues between them, which are bounded: who is not read is not read from. TCP is a stream, so
its faults are those of a stream (`tools.link`): delay, jitter, stalls, bandwidth, silence, connections that end.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence

from tools.link import Direction, Faults, Line, LinkError, check, cut_at, fate

CHUNK_BYTES = 16_384
QUEUE_CHUNKS = 64  # under way in one direction; what is beyond waits at the sender
CONNECTIONS_MAX = 4096
WATCH_S = 0.02  # how often a connection looks whether a cut ends it


class Proxy:
    """One listening port; every connection through it has a seed of its own, made from the wire's."""

    def __init__(self, faults: Faults, seed: int, host: str, port: int) -> None:
        self.faults, self.seed = check(faults), seed
        self.counters: Counter[str] = Counter()
        self._to = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens at."""
        assert self._server is not None, "it has been started"
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, host, port, limit=CHUNK_BYTES)

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._open) >= CONNECTIONS_MAX:
            self.counters["refused"] += 1
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            await self._carry(reader, writer)
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counters["connections"] += 1
        seed = self.seed * 1_000_003 + self.counters["connections"]
        try:
            there, back = await asyncio.open_connection(*self._to, limit=CHUNK_BYTES)
        except OSError:
            self.counters["unreachable"] += 1
            return
        start_s = asyncio.get_running_loop().time()
        ways: tuple[tuple[Direction, asyncio.StreamReader, asyncio.StreamWriter], ...] = (
            ("up", reader, back),
            ("down", there, writer),
        )
        both = asyncio.gather(*(self._way(*way, seed, start_s) for way in ways))
        watch = asyncio.ensure_future(self._watch(seed, start_s))
        try:
            await asyncio.wait((both, watch), return_when=asyncio.FIRST_COMPLETED)
        finally:
            both.cancel()
            watch.cancel()
            await asyncio.gather(both, watch, return_exceptions=True)
            back.transport.abort()

    async def _watch(self, seed: int, start_s: float) -> None:
        """End with the first cut that ends the connection."""
        loop = asyncio.get_running_loop()
        while True:
            cut = cut_at(self.faults, seed, loop.time() - start_s)
            if cut is not None and cut.ends:
                self.counters["ended"] += 1
                return
            await asyncio.sleep(WATCH_S)

    async def _way(
        self,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        seed: int,
        start_s: float,
    ) -> None:
        """Read, decide when it comes out, hand over; ends when the sender has, and all of it is through.

        Raises OSError when either end breaks.
        """
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUE_CHUNKS)
        pour = asyncio.ensure_future(_pour(queue, writer, start_s))
        line, loop = Line(), asyncio.get_running_loop()
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                what, line = fate("stream", self.faults, seed, direction, line, len(chunk), loop.time() - start_s)
                self.counters[f"{direction}_bytes"] += len(chunk)
                self.counters[what.reason or "on-time"] += 1
                await _put(queue, (what.times_s[0], chunk), pour)
            await _put(queue, (line.last_s, b""), pour)
            await pour
        finally:
            pour.cancel()


async def _put(
    queue: asyncio.Queue[tuple[float, bytes]], item: tuple[float, bytes], pour: asyncio.Future[None]
) -> None:
    """Queue what was read, waiting for room; raises what ended `pour` if that has ended."""
    put = asyncio.ensure_future(queue.put(item))
    await asyncio.wait((put, pour), return_when=asyncio.FIRST_COMPLETED)
    if pour.done():
        put.cancel()
        pour.result()


async def _pour(queue: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, start_s: float) -> None:
    """Write each chunk when its time has come; an empty one is the end."""
    loop = asyncio.get_running_loop()
    while True:
        at_s, chunk = await queue.get()
        await asyncio.sleep(max(0.0, start_s + at_s - loop.time()))
        if not chunk:
            writer.write_eof()
            return
        writer.write(chunk)
        await writer.drain()


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools.link", description="a faulty wire between a port and a server")
    parser.add_argument("--listen", type=int, required=True, metavar="PORT", help="on loopback; 0 takes any free one")
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="the server")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="one way")
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="added to the delay, 0 to this")
    parser.add_argument("--rate-kbit", type=float, default=0.0, help="kilobits a second, each way; 0 is unbounded")
    parser.add_argument("--stall", type=float, default=0.0, help="share of chunks that stall, as a lost packet does")
    parser.add_argument("--stall-ms", type=float, default=200.0, help="how long one stalls")
    parser.add_argument("--cut-every-s", type=float, default=0.0, help="one silence in every such period; 0 is none")
    parser.add_argument("--cut-ms", type=float, default=500.0, help="how long a silence lasts")
    parser.add_argument("--ends", type=float, default=0.0, help="share of silences that end the connection")
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same wire")
    return parser.parse_args(words)


def faults_of(asked: argparse.Namespace) -> Faults:
    """The faults that the command line asks for. Raises LinkError."""
    return check(
        Faults(
            delay_s=asked.delay_ms / 1000, jitter_s=asked.jitter_ms / 1000, loss=asked.stall,
            stall_s=asked.stall_ms / 1000, rate_bytes_s=asked.rate_kbit * 125, cut_every_s=asked.cut_every_s,
            cut_s=asked.cut_ms / 1000, ends=asked.ends,
        )
    )  # fmt: skip


async def _serve(asked: argparse.Namespace) -> None:
    host, _, port = asked.to.rpartition(":")
    proxy = Proxy(faults_of(asked), asked.seed, host, int(port))
    await proxy.start(asked.listen)
    print(f"link: 127.0.0.1:{proxy.port} -> {asked.to}, seed {asked.seed}", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await proxy.stop()
        print(f"link: {dict(sorted(proxy.counters.items()))}", flush=True)


def main(words: Sequence[str]) -> int:
    """Run until interrupted; 2 if it cannot be started so."""
    asked = _arguments(words)
    try:
        asyncio.run(_serve(asked))
    except KeyboardInterrupt:
        return 0
    except (LinkError, OSError, ValueError) as error:
        print(f"link: {error}", file=sys.stderr)
        return 2
    return 0
