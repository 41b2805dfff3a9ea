"""Clients of bare sockets, for what a well-mannered library would not send."""

import asyncio
import struct

from server.net.protocol import SUBPROTOCOL

HEADERS = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
    "Sec-WebSocket-Protocol": SUBPROTOCOL,
}
ACCEPT = "BACScCJPNqyz+UBoqMH89VmURoA="  # for that key, by section 4.2.2 of RFC 6455


def masked(payload: bytes, first: int = 0x82, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """A client's frame."""
    size = len(payload)
    head = bytes((first, 0x80 | size)) if size < 126 else struct.pack(">BBH", first, 0xFE, size)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def request(host: str, headers: dict[str, str]) -> bytes:
    """What asks for a WebSocket."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["GET /ws HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()


async def rough(visit, ssl=None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A WebSocket of bare bytes."""
    address = visit.edge.url.split("//")[1]
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=ssl, limit=1 << 20)
    writer.write(request(address, HEADERS))
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 ") and ACCEPT.encode() in answer, answer
    return reader, writer


async def deaf(visit) -> asyncio.StreamWriter:
    """One that opens a WebSocket and never reads again."""
    _, writer = await rough(visit)
    writer.transport.pause_reading()
    return writer
