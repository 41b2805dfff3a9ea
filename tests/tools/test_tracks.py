"""The recorded motion: what is in it, and that turning and placing it keeps it a body."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sim.rotation import unpack_rotation
from tools.tracks import ROTATION_SCALE, load_tracks, place, row_at


def test_the_recordings_are_people_of_usual_size() -> None:
    tracks = load_tracks()
    assert tracks.recordings == 23 and tracks.first[-1] == len(tracks.yaw) == len(tracks.rot)
    assert (np.diff(tracks.first) > 150).all()
    assert tracks.head_mm[:, 1].min() > 400 and tracks.head_mm[:, 1].max() < 2100
    assert np.linalg.norm(tracks.hand_mm.astype(float), axis=2).max() <= 1002
    np.testing.assert_allclose(np.linalg.norm(tracks.rot / ROTATION_SCALE, axis=2), 1, atol=0.001)


@given(st.floats(-7, 7), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_turning_keeps_lengths_heights_and_where_one_looks_from_the_body(turn: float, seed: int) -> None:
    tracks = load_tracks()
    rows = np.random.default_rng(seed).integers(0, len(tracks.yaw), 20)
    level, turned = place(tracks, rows, np.zeros(20)), place(tracks, rows, np.full(20, turn))
    for a, b in ((level.head_mm, turned.head_mm), (level.hand_mm, turned.hand_mm)):
        np.testing.assert_array_equal(a[..., 1], b[..., 1])
        lengths = (np.hypot(points[..., 0], points[..., 2]) for points in (a, b))
        np.testing.assert_allclose(*lengths, atol=1.5)
    back = np.exp(-1j * (turned.yaw - level.yaw) / 1024 * 2 * np.pi + 1j * turn)
    np.testing.assert_allclose(back, 1, atol=0.01)
    ahead = [unpack_rotation(placed.head_rot) for placed in (level, turned)]
    headings = [
        np.arctan2(2 * (q[:, 0] * q[:, 2] + q[:, 3] * q[:, 1]), 1 - 2 * (q[:, 0] ** 2 + q[:, 1] ** 2)) for q in ahead
    ]
    np.testing.assert_allclose(np.exp(1j * (headings[1] - headings[0] - turn)), 1, atol=0.05)


def test_a_recording_is_played_to_and_fro_without_a_jump() -> None:
    tracks = load_tracks()
    track = np.array([3])
    rows = [float(row_at(tracks, track, np.array([tick / 20]))[0]) for tick in range(2000)]
    assert np.abs(np.diff(rows)).max() <= 1.5 + 1e-6
    assert tracks.first[3] <= min(rows) < tracks.first[3] + 1
    assert tracks.first[4] - 2 < max(rows) <= tracks.first[4] - 1


def test_halfway_between_two_rows_is_halfway() -> None:
    tracks = load_tracks()
    a, half, b = (place(tracks, np.array([row]), np.zeros(1)) for row in (700.0, 700.5, 701.0))
    np.testing.assert_allclose(half.head_mm, (a.head_mm + b.head_mm) / 2, atol=0.51)
    np.testing.assert_allclose(half.hand_mm, (a.hand_mm + b.hand_mm) / 2, atol=0.51)
