"""Wave blocks (frame 0x03) as values, both ways, for clients written in Python and for golden vectors.

Owns this reading of PROTOCOL.md, independent of the server's writer. Never scales: samples stay int16 counts.
"""

import struct
from typing import NamedTuple

WAVE_KIND = 0x03
HEADER = struct.Struct("<BBBBIHB")
MISSING = -32_768


class WaveError(ValueError):
    """The frame is no wave block."""


class WaveBlock(NamedTuple):
    """Samples of one bed; `channels`: channel number -> counts, the first of them sample number `first`."""

    bed: int
    source: int  # 0 model, 1 device
    first: int
    rate_hz: int
    channels: dict[int, tuple[int, ...]]


def read_wave(frame: bytes) -> WaveBlock:
    """The block in a frame; raises WaveError."""
    if len(frame) < HEADER.size:
        raise WaveError(f"a wave block has {len(frame)} bytes, at least {HEADER.size} are needed")
    kind, bed, source, count, first, rate_hz, samples = HEADER.unpack_from(frame)
    row = struct.Struct(f"<B{samples}h")
    if kind != WAVE_KIND or len(frame) != HEADER.size + count * row.size:
        raise WaveError(f"{len(frame)} bytes of kind {kind} do not hold {count} channels of {samples} samples")
    rows = [row.unpack_from(frame, HEADER.size + i * row.size) for i in range(count)]
    channels = {number: values for number, *values in rows}
    return WaveBlock(bed, source, first, rate_hz, {number: tuple(values) for number, values in channels.items()})


def write_wave(block: WaveBlock) -> bytes:
    """The frame of a block whose channels are equally long."""
    samples = len(next(iter(block.channels.values()), ()))
    head = HEADER.pack(WAVE_KIND, block.bed, block.source, len(block.channels), block.first, block.rate_hz, samples)
    return head + b"".join(struct.pack(f"<B{samples}h", n, *values) for n, values in block.channels.items())
