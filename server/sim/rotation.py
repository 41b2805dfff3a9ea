"""Orientations as one u32, "smallest three": the largest component is dropped and found again from unit length.

Owns the packing (PROTOCOL.md, Orientation). Error of a packed rotation is below 0.21 degrees. Never checks that its
input has unit length; `unpack_rotation` always returns unit quaternions.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

IDENTITY = 3 | 511 << 2 | 511 << 12 | 511 << 22  # (0, 0, 0, 1)
SCALE = 2.0**0.5 * 511.0
FIELD_MAX = 1022  # 1023 in any of the three fields is no rotation
FIELD_ZERO, SQUARES = 511, 2 * 511 * 511  # the four components, in steps of a field, have squares of this sum
COARSE_MAX = 1021  # of a field on the coarse grid: the odd numbers


@njit(cache=True)
def pack_kernel(quaternions: npt.NDArray[np.float64], out: npt.NDArray[np.uint32]) -> None:
    """(n, 4) unit quaternions x, y, z, w -> (n,) packed."""
    for row in range(out.shape[0]):
        largest = 0
        for part in range(1, 4):
            if abs(quaternions[row, part]) > abs(quaternions[row, largest]):
                largest = part
        sign = -1.0 if quaternions[row, largest] < 0.0 else 1.0
        packed, shift = largest, 2
        for part in range(4):
            if part != largest:
                field = int(np.rint(sign * quaternions[row, part] * SCALE)) + 511
                packed |= min(max(field, 0), FIELD_MAX) << shift
                shift += 10
        out[row] = packed


@njit(cache=True)
def unpack_kernel(packed: npt.NDArray[np.uint32], out: npt.NDArray[np.float64]) -> None:
    """(n,) packed -> (n, 4) unit quaternions x, y, z, w, the dropped component positive."""
    for row in range(packed.shape[0]):
        bits = int(packed[row])
        largest, shift, total = bits & 3, 2, 0.0
        for part in range(4):
            if part != largest:
                value = float(((bits >> shift) & 1023) - 511) / SCALE
                out[row, part] = value
                total += value * value
                shift += 10
        out[row, largest] = np.sqrt(max(0.0, 1.0 - total))
        norm = np.sqrt(max(total, 1.0))
        for part in range(4):
            out[row, part] /= norm


@njit(cache=True)
def coarse(packed: int) -> int:
    """The same rotation with its fields on the coarse grid, off by less than 0.7 degrees in all."""
    out = packed & 3
    for shift in range(2, 32, 10):
        out |= min(packed >> shift & 1023 | 1, COARSE_MAX) << shift
    return out


@njit(cache=True)
def expected_fields(packed: int, largest: int, out: npt.NDArray[np.int64]) -> None:
    """Write the three fields the rotation would have if component `largest` were the one to be dropped."""
    old, total = packed & 3, 0
    for k in range(3):
        out[k] = packed >> (2 + 10 * k) & 1023
        total += (out[k] - FIELD_ZERO) * (out[k] - FIELD_ZERO)
    if old == largest:
        return
    dropped = int(np.sqrt(max(SQUARES - total, 0)))
    moved = largest if largest < old else largest - 1  # where the one to be dropped stands among the three
    sign = -1 if out[moved] < FIELD_ZERO else 1
    for k in range(moved, 2):
        out[k] = out[k + 1]
    place = old if old < largest else old - 1  # where the one dropped so far will stand
    for k in range(2, place, -1):
        out[k] = out[k - 1]
    out[place] = FIELD_ZERO + dropped
    for k in range(3):
        out[k] = min(max(FIELD_ZERO + sign * (out[k] - FIELD_ZERO), 0), FIELD_MAX)


def pack_rotation(quaternions: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Pack unit quaternions (..., 4) in x, y, z, w order to u32 (...)."""
    rows = np.asarray(quaternions, np.float64, order="C")
    out = np.empty(rows.shape[:-1], np.uint32)
    pack_kernel(rows.reshape(-1, 4), out.reshape(-1))
    return out


def unpack_rotation(packed: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Unit quaternions (..., 4) of packed rotations (...)."""
    rows = np.asarray(packed, np.uint32, order="C")
    out = np.empty((*rows.shape, 4), np.float64)
    unpack_kernel(rows.reshape(-1), out.reshape(-1, 4))
    return out


def coarse_all(packed: npt.ArrayLike) -> npt.NDArray[np.uint32]:
    """Packed rotations (...) with their fields on the coarse grid."""
    rows = np.asarray(packed, np.uint32)
    out = rows | np.uint32(1 << 2 | 1 << 12 | 1 << 22)
    for shift in (2, 12, 22):  # 1023 is none: the last odd field below
        out &= ~np.where(out >> shift & 1023 > FIELD_MAX, np.uint32(2 << shift), np.uint32(0))
    return np.asarray(out, np.uint32)


def rotation_valid(packed: int) -> bool:
    """No field is 1023."""
    return all(packed >> shift & 1023 <= FIELD_MAX for shift in (2, 12, 22))


def prime() -> None:
    """Compile the kernels."""
    expected_fields(coarse(IDENTITY), 0, np.zeros(3, np.int64))
    unpack_rotation(pack_rotation(np.array([[0.0, 0.0, 0.0, 1.0]])))
