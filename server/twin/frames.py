"""The binary wave block (frame 0x03 of PROTOCOL.md): u8 kind, bed, source, channels; u32 first; u16 rate; u8 samples.

Owns writing it. All little endian; then for each channel its number and `samples` int16, -32768 for a missing one.
"""

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from server.twin.shown import CHANNELS

KIND = 0x03
HEADER = struct.Struct("<BBBBIHB")
SAMPLES_MAX = 255
Samples = npt.NDArray[np.int16]


def wave_frame(bed: int, source: int, first: int, rate_hz: int, waves: Sequence[tuple[str, Samples]]) -> bytes:
    """One frame; every channel has the same number of samples, at most 255. The sample index wraps at 2**32."""
    samples = len(waves[0][1])
    assert 0 < samples <= SAMPLES_MAX
    parts = [HEADER.pack(KIND, bed, source, len(waves), first & 0xFFFFFFFF, rate_hz, samples)]
    for name, values in waves:
        parts.append(bytes((CHANNELS[name],)))
        parts.append(values.astype("<i2", copy=False).tobytes())
    return b"".join(parts)
