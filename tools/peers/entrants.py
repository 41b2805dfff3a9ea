"""Who is compared, besides ourselves: each peer's server, how it is spoken to and how its views are read.

Owns the table. A peer's program is in tools/peers/servers; its packages are in an environment of their own.
"""

import base64
import http.client
import json
import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tools.peers import build, dialects
from tools.peers.contest import ContestError, drive, free_port, served, workshop
from tools.peers.dialects import SEEN, Decode, Rows
from tools.peers.motion import HZ
from tools.peers.plan import NO_REPLY, WEBSOCKET, ZMTP_NULL, Errand, Found, Speech, read_messages
from tools.peers.verdict import Figures, figures, look

Doors = Callable[[int, int, int], tuple[list[bytes], list[bytes]]]  # port, clients, room -> openings, hellos


class Load(NamedTuple):
    """What a server has to carry."""

    clients: int
    room: int
    warm_s: float
    run_s: float

    @property
    def sampled(self) -> int:
        """How many clients keep what they get: about 16, fewer where views are long."""
        return max(2, min(16, self.clients, 4000 // self.room))

    @property
    def viewers(self) -> int:
        """How many that are, with the stride that the generator takes."""
        every = max(1, self.clients // self.sampled)
        return -(-self.clients // every)


class Entrant(NamedTuple):
    """A peer."""

    name: str
    what: str
    words: Callable[[int], list[str]]  # port -> command
    speech: Callable[[], Speech]
    decode: Decode | None  # None: Colyseus' own decoder
    doors: Doors


def upgrade(path: str, port: int, protocol: str = "") -> bytes:
    """A WebSocket's request (RFC 6455)."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]  # fmt: skip
    if protocol:
        lines.append(f"Sec-WebSocket-Protocol: {protocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def by_path(port: int, clients: int, room: int) -> tuple[list[bytes], list[bytes]]:
    """The room and the client's number stand in the path."""
    return [upgrade(f"/{i // room}/{i}", port) for i in range(clients)], [b""] * clients


def by_hello(port: int, clients: int, room: int) -> tuple[list[bytes], list[bytes]]:
    """They are the first message."""
    hellos = [np.array([i // room, i], "<u2").tobytes() for i in range(clients)]
    return [b""] * clients, hellos


def by_seat(port: int, clients: int, room: int) -> tuple[list[bytes], list[bytes]]:
    """Colyseus' matchmaking gives everyone a seat in a room, which is taken up by path. Raises ContestError."""
    desk = http.client.HTTPConnection("127.0.0.1", port, timeout=30.0)
    openings = []
    for number in range(clients):
        asked = json.dumps({"room": str(number // room), "number": number})
        desk.request("POST", "/matchmake/joinOrCreate/ward", asked, {"Content-Type": "application/json"})
        answer = desk.getresponse()
        said = json.loads(answer.read())
        if answer.status != 200:
            raise ContestError(f"Colyseus gave no seat: {answer.status} {said.get('error', '')}")
        openings.append(upgrade(f"/{said['processId']}/{said['roomId']}?sessionId={said['sessionId']}", port))
    desk.close()
    return openings, [b""] * clients


def _python(script: str, port: int) -> list[str]:
    return [str(build.python_peers()), str(build.SERVERS / script), str(port), str(HZ)]


def _relay(port: int) -> list[str]:
    return [str(build.c_relay()), str(port), str(HZ)]


def _colyseus(way: str, port: int) -> list[str]:
    return [str(build.node()), str(build.colyseus() / "server.mjs"), str(port), str(HZ), way]


def _rows(script: str, framing: int) -> tuple[Callable[[int], list[str]], Callable[[], Speech], Decode]:
    return partial(_python, script), partial(dialects.packed, framing), dialects.decode_packed


def _maps(script: str) -> tuple[Callable[[int], list[str]], Callable[[], Speech], Decode]:
    return partial(_python, script), dialects.as_msgpack, dialects.decode_msgpack


ENTRANTS = (
    Entrant("relay", "bare relay in C, the floor", _relay, partial(dialects.packed, WEBSOCKET),
            dialects.decode_packed, by_path),
    Entrant("picows", "picows, packed rows", *_rows("picows_rows.py", WEBSOCKET), by_path),
    Entrant("zmq", "plain pyzmq ROUTER, packed rows", *_rows("zmq_rows.py", ZMTP_NULL), by_hello),
    Entrant("aiohttp", "aiohttp + uvloop, MessagePack", *_maps("aiohttp_msgpack.py"), by_path),
    Entrant("websockets", "websockets.broadcast, MessagePack", *_maps("websockets_msgpack.py"), by_path),
    Entrant("colyseus", "Colyseus, its own state sync", partial(_colyseus, "sync"), partial(dialects.colyseus, False),
            None, by_seat),
    Entrant("colyseus-broadcast", "Colyseus, broadcast of packed rows", partial(_colyseus, "broadcast"),
            partial(dialects.colyseus, True), dialects.decode_colyseus_broadcast, by_seat),
)  # fmt: skip
assert all(entrant.name and NO_REPLY for entrant in ENTRANTS)


def decode_by_colyseus(found: Found, folder: Path) -> Rows:
    """What Colyseus' own decoder makes of the kept messages. Raises ContestError."""
    out = folder / "rows"
    words = [str(build.node()), str(build.colyseus() / "decode.mjs"), str(found.seen), str(out)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ContestError(f"Colyseus' decoder ended: {done.stderr.strip().splitlines()[-1:]}")
    return np.fromfile(out, SEEN)


def run(entrant: Entrant, load: Load) -> Figures:
    """One run of a peer. Raises ContestError and BuildError."""
    port = free_port()
    words = entrant.words(port)
    with workshop() as folder, served(words, port, folder / "server.log") as pid:
        openings, hellos = entrant.doors(port, load.clients, load.room)
        errand = Errand(speech=entrant.speech(), port=port, opening=openings, hello=hellos, warm_s=load.warm_s,
                        run_s=load.run_s, sampled=load.sampled)  # fmt: skip
        found, spent = drive(errand, {entrant.name: pid}, folder)
        decode = entrant.decode
        rows = decode(read_messages(found.seen)) if decode else decode_by_colyseus(found, folder)
        sight = look(rows, found.counted, found.sent_us, load.room, load.viewers)
        out = figures(entrant.name, load.room, found.counted, sight, sum(spent.server_s.values()), spent.others_s)
        out.memory_kb, out.note = spent.memory_kb, found.counted.failure
        return out
