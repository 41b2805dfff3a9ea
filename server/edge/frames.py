"""WebSocket frames the server sends: data, made once and written to many connections, and control frames.

Owns the frame header (RFC 6455, section 5.2, unmasked, unfragmented).
"""

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


def pong_frame(payload: bytes) -> bytes:
    """The answer to a Ping with this payload of at most 125 bytes."""
    return bytes((0x8A, len(payload))) + payload


PING_FRAME = bytes((0x89, 0))
