"""Packed orientations: how far they are off, and what is exact."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim import rotation


def quaternions(seed: int) -> np.ndarray:
    turns = np.random.default_rng(seed).normal(size=(200, 4))
    return turns / np.linalg.norm(turns, axis=1, keepdims=True)


@given(st.integers(0, 2**32))
@settings(deadline=None)
def test_a_packed_rotation_is_off_by_less_than_a_quarter_degree(seed: int) -> None:
    turns = quaternions(seed)
    back = rotation.unpack_rotation(rotation.pack_rotation(turns))
    same = np.minimum(1.0, np.abs((turns * back).sum(axis=1)))
    assert np.degrees(2 * np.arccos(same)).max() < 0.25
    np.testing.assert_allclose(np.linalg.norm(back, axis=1), 1.0)


def test_identity_is_exact_and_both_signs_are_one_rotation() -> None:
    assert rotation.pack_rotation([0, 0, 0, 1]) == rotation.IDENTITY == rotation.pack_rotation([0, 0, 0, -1])
    assert rotation.unpack_rotation(rotation.IDENTITY).tolist() == [0, 0, 0, 1]


def test_ties_drop_the_first_largest_component() -> None:
    half = rotation.pack_rotation([0.5, -0.5, 0.5, 0.5])
    assert int(half) & 3 == 0
    assert rotation.rotation_valid(int(half))


@given(st.integers(0, 2**32 - 1))
def test_only_fields_up_to_1022_are_rotations(packed: int) -> None:
    fields = [packed >> shift & 1023 for shift in (2, 12, 22)]
    assert rotation.rotation_valid(packed) == (max(fields) < 1023)
    assert abs(np.linalg.norm(rotation.unpack_rotation(packed)) - 1) < 1e-9


def test_compiled_and_plain_kernels_agree() -> None:
    turns = quaternions(3)
    fast, slow = np.empty(len(turns), np.uint32), np.empty(len(turns), np.uint32)
    rotation.pack_kernel(turns, fast)
    rotation.pack_kernel.py_func(turns, slow)
    np.testing.assert_array_equal(fast, slow)
    a, b = np.empty((len(turns), 4)), np.empty((len(turns), 4))
    rotation.unpack_kernel(fast, a)
    rotation.unpack_kernel.py_func(fast, b)
    np.testing.assert_array_equal(a, b)


@given(st.integers(0, 2**32))
@settings(deadline=None)
def test_the_coarse_grid_is_odd_valid_and_near(seed: int) -> None:
    packed = rotation.pack_rotation(quaternions(seed))
    snapped = rotation.coarse_all(packed)
    assert snapped.tolist() == [rotation.coarse(int(each)) for each in packed]
    np.testing.assert_array_equal(rotation.coarse_all(snapped), snapped)
    for shift in (2, 12, 22):
        fields = snapped >> shift & 1023
        assert (fields & 1).all() and (fields <= rotation.COARSE_MAX).all()
    turns = (rotation.unpack_rotation(each) for each in (packed, snapped))
    dot = np.minimum(1.0, np.abs(np.multiply(*turns).sum(axis=1)))
    assert np.degrees(2 * np.arccos(dot)).max() < 0.6


@given(st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_fields_told_by_another_component_are_of_the_same_rotation(seed: int) -> None:
    scratch = np.empty(3, np.int64)
    for packed in rotation.pack_rotation(quaternions(seed))[:40].tolist():
        turn = rotation.unpack_rotation(packed)
        for largest in range(4):
            rotation.expected_fields(packed, largest, scratch)
            if abs(turn[largest]) < 0.5 or abs(turn[packed & 3]) > 0.705:
                continue  # what is dropped is too small, or what is not does not fit a field
            other = largest | int(scratch[0]) << 2 | int(scratch[1]) << 12 | int(scratch[2]) << 22
            dot = abs(float(rotation.unpack_rotation(other) @ turn))
            assert np.degrees(2 * np.arccos(min(1.0, dot))) < 0.6
            slow = np.empty(3, np.int64)
            rotation.expected_fields.py_func(packed, largest, slow)
            assert slow.tolist() == scratch.tolist()
