"""What a browser sends, frame by frame: RFC 6455 from the server's side, without sockets or time.

Owns what a legal client frame is and the close code of each that is not. Answers nothing and decides nothing else.
"""

from typing import NamedTuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KINDS = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
FINAL, RESERVED, MASKED = 0x80, 0x70, 0x80
CONTROL_BYTES_MAX = 125
MASK_BYTES = 4
PROTOCOL, UNSUPPORTED, NOT_TEXT, TOO_BIG = 1002, 1003, 1007, 1009  # close codes, section 7.4.1
CODES = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))  # a peer may send these
OWN_CODES = range(3000, 5000)


class FrameError(ValueError):
    """Bytes no client may send. `code` is what the connection is closed with; the text is for people."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Message(NamedTuple):
    """A whole message (BINARY) or control frame (CLOSE, PING, PONG), unmasked."""

    kind: int
    data: bytes


class Header(NamedTuple):
    """Where a frame is: its mask is at `mask`, its payload of `size` bytes right behind."""

    kind: int
    final: bool
    mask: int
    size: int


class Reader:
    """The bytes of one connection, turned into messages. Holds one frame and one fragmented message at most.

    `wanted`: bytes missing of the frame that has begun, if its size is known. `extras`: frames so far that were no
    message of their own, which nothing else counts.
    """

    __slots__ = ("_fragments", "_held", "_over", "bytes_max", "extras", "wanted")

    def __init__(self, bytes_max: int) -> None:
        """`bytes_max`: of one message, in however many frames it comes."""
        self.bytes_max = bytes_max
        self.extras = self.wanted = 0
        self._held = b""
        self._fragments: bytearray | None = None
        self._over = False

    @property
    def clean(self) -> bool:
        """Whether nothing unfinished is held, so that the next byte begins a message of its own."""
        return not self._held and self._fragments is None and not self._over

    def take(self, data: bytes, found: list[Message]) -> None:
        """Add to `found` the messages that `data` completes; raises FrameError behind the last good one.

        After a FrameError or a CLOSE whatever comes is passed over.
        """
        if self._over:
            return
        held, at = self._held + data, 0
        self._held, self._over, self.wanted = b"", True, 0  # in case of a FrameError
        while (header := self._header(held, at)) is not None:
            start = header.mask + MASK_BYTES
            if len(held) < start + header.size:
                self.wanted = start + header.size - len(held)
                break
            at = start + header.size
            payload = unmask(held[start:at], held[header.mask : start])
            self.extras += header.kind != BINARY or not header.final
            if header.kind >= CLOSE:
                found.append(Message(header.kind, payload))
                if header.kind == CLOSE:
                    check_close(payload)
                    return
            else:
                self._join(header, payload, found)
        self._held, self._over = held[at:], False

    def _join(self, header: Header, payload: bytes, found: list[Message]) -> None:
        if header.kind == BINARY and header.final:
            found.append(Message(BINARY, payload))
            return
        whole = bytearray() if self._fragments is None else self._fragments
        whole += payload
        self._fragments = None if header.final else whole
        if header.final:
            found.append(Message(BINARY, bytes(whole)))

    def _header(self, data: bytes, at: int) -> Header | None:
        """The header at `at`, checked; None if it is not all there. Raises FrameError as soon as anything is wrong."""
        if len(data) < at + 2:
            return None
        first, second = data[at], data[at + 1]
        kind, final, size = first & 0x0F, bool(first & FINAL), second & 0x7F
        self._check(kind, final, size, first, second)
        mask = at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            mask += width
            if len(data) < mask:
                return None
            size = int.from_bytes(data[mask - width : mask], "big")
            if size < (126 if width == 2 else 65_536):
                raise FrameError(PROTOCOL, f"a size of {size} in {width} bytes, allowed is the shortest form")
        room = self.bytes_max - len(self._fragments or b"")
        if kind < CLOSE and size > room:
            raise FrameError(TOO_BIG, f"a message of more than {self.bytes_max} bytes")
        return Header(kind, final, mask, size)

    def _check(self, kind: int, final: bool, size: int, first: int, second: int) -> None:
        if first & RESERVED:
            raise FrameError(PROTOCOL, "reserved bits are set, allowed is none")
        if kind not in KINDS:
            raise FrameError(PROTOCOL, f"a frame of kind {kind}")
        if not second & MASKED:
            raise FrameError(PROTOCOL, "a frame without a mask")
        if kind == TEXT:
            raise FrameError(UNSUPPORTED, "binary frames only")
        if kind >= CLOSE and (size > CONTROL_BYTES_MAX or not final):
            raise FrameError(PROTOCOL, "a control frame in parts or too large")
        if kind < CLOSE and (kind == CONTINUATION) != (self._fragments is not None):
            raise FrameError(PROTOCOL, "a continuation out of place, or a message within another")


def unmask(data: bytes, mask: bytes) -> bytes:
    """Payload and mask exclusive-ored (section 5.3); its own inverse."""
    size = len(data)
    key = (mask * (size // MASK_BYTES + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def check_close(payload: bytes) -> None:
    """Raises FrameError if this is no body of a Close frame."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 0
    if code not in CODES and code not in OWN_CODES:
        raise FrameError(PROTOCOL, "a Close frame without a code that may be sent")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(NOT_TEXT, "a Close frame whose reason is no UTF-8") from None
