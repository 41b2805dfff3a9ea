"""WebSocket frames made once and written to many connections: binary data and Close.

Owns the frame header (RFC 6455, section 5.2, unmasked, unfragmented) and the rule for slow readers: the bound is the
connection's own write buffer, nothing is ever queued beside it.
"""

import asyncio
import struct


def frame(payload: bytes) -> bytes:
    """A whole binary WebSocket frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, size)) + payload
    if size < 65_536:
        return struct.pack(">BBH", 0x82, 126, size) + payload
    return struct.pack(">BBQ", 0x82, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    """A Close frame; the reason is cut to what a control frame can hold."""
    payload = struct.pack(">H", code) + reason.encode()[:100]
    return bytes((0x88, len(payload))) + payload


def room_for(transport: asyncio.WriteTransport, size: int, waiting_max: int) -> bool:
    """Whether `size` more bytes keep what waits on this connection within `waiting_max`."""
    waiting: int = transport.get_write_buffer_size()
    return waiting + size <= waiting_max
