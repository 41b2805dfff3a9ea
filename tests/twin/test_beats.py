"""Beats, pulses and breaths in waves whose truth is known: drawn ones, the model's own, and annotated ones."""

from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from server.twin.beats import breaths, heart_rate, pressure, qrs

SHARED = Path(__file__).parents[2].parent / "shared/data/twins/waveforms"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not here")
RATE_HZ = 125


def ecg(rate: float, seconds: float = 10, noise: float = 0.0, seed: int = 1, rate_hz: int = RATE_HZ) -> np.ndarray:
    """Gaussian P, QRS and T at a steady rate, mV."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = np.random.default_rng(seed).normal(0, noise, len(t)) if noise else np.zeros(len(t))
    for beat in np.arange(0.3, seconds, 60 / rate):
        for at, width, height in ((-0.16, 0.025, 0.12), (0, 0.012, 1.0), (0.03, 0.012, -0.2), (0.28, 0.05, 0.3)):
            wave += height * np.exp(-(((t - beat - at) / width) ** 2) / 2)
    return wave


def abp(rate: float, high: float, low: float, seconds: float = 10) -> np.ndarray:
    """A pressure pulse with a fast rise and a slow fall, mmHg."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = (t * rate / 60) % 1.0
    shape = np.where(phase < 0.12, np.sin(phase / 0.12 * np.pi / 2), np.exp(-(phase - 0.12) * 3))
    floor = np.exp(-0.88 * 3)
    return low + (high - low) * np.clip((shape - floor) / (1 - floor), 0, 1)


@given(st.floats(32, 190), st.floats(0, 0.05), st.integers(0, 50), st.sampled_from([125, 250, 360, 500]))
@settings(max_examples=60, deadline=None)
def test_a_steady_rhythm_reads_its_rate(rate: float, noise: float, seed: int, rate_hz: int) -> None:
    read = heart_rate(ecg(rate, noise=noise, seed=seed, rate_hz=rate_hz), rate_hz)
    assert read == pytest.approx(rate, rel=0.03)


def test_a_gap_is_not_a_beat_and_no_interval_spans_it() -> None:
    wave = ecg(75)
    wave[400:700] = np.nan
    assert heart_rate(wave, RATE_HZ) == pytest.approx(75, rel=0.03)
    wave[:] = np.nan
    assert heart_rate(wave, RATE_HZ) is None


def test_noise_alone_is_no_rate() -> None:
    noise = np.random.default_rng(3).normal(0, 0.3, 1250)
    assert heart_rate(noise, RATE_HZ) is None


def test_silence_after_beats_is_asystole_only_with_the_lead_on() -> None:
    wave = ecg(75)
    wave[600:] = np.random.default_rng(1).normal(0, 0.02, 650)
    assert heart_rate(wave, RATE_HZ) == 0.0
    wave[600:] = 0.0
    assert heart_rate(wave, RATE_HZ) is None


@needs_shared
def test_annotated_beats_are_all_found_and_no_others() -> None:
    record, truth = wfdb.rdrecord(str(SHARED / "100")), wfdb.rdann(str(SHARED / "100"), "atr")
    true = truth.sample[np.isin(truth.symbol, list("NVAaJSFLRE/fj"))]
    wave, rate_hz, found = record.p_signal[:, 0], 360, []
    for second in range(0, 1804, 8):
        first = max(0, (second - 1) * rate_hz)
        found += [k + first for k in qrs(wave[first : (second + 9) * rate_hz], rate_hz)
                  if second * rate_hz <= k + first < (second + 8) * rate_hz]  # fmt: skip
    assert len(found) == pytest.approx(len(true), abs=3)
    nearest = np.abs(np.array(found)[:, None] - true[None, :]).min(axis=1)
    assert (nearest < 0.15 * rate_hz).mean() > 0.998


@given(st.floats(45, 160), st.floats(80, 200), st.floats(0.4, 0.75))
@settings(max_examples=60, deadline=None)
def test_a_steady_pressure_reads_its_numbers(rate: float, high: float, part: float) -> None:
    low = high * part
    wave = abp(rate, high, low)
    read = pressure(wave, RATE_HZ)
    assert read is not None
    assert read.sap == pytest.approx(high, abs=0.02 * high)
    assert read.dap == pytest.approx(low, abs=0.02 * high)
    assert read.map == pytest.approx(wave.mean(), abs=3)
    assert read.rate == pytest.approx(rate, rel=0.03)


def _flush(wave: np.ndarray) -> None:
    wave[200:] = 270


def _flat(wave: np.ndarray) -> None:
    wave[:] = 5


def _damped(wave: np.ndarray) -> None:
    wave[:] = 80 + (wave - 80) * 0.1


def _square(wave: np.ndarray) -> None:
    wave[:] = np.where(wave > 100, 120, 70)


def _gone(wave: np.ndarray) -> None:
    wave[300:] = np.nan


@pytest.mark.parametrize("spoil", [_flush, _flat, _damped, _square, _gone])
def test_artefacts_give_no_pressure(spoil: object) -> None:
    wave = abp(70, 120, 70)
    assert callable(spoil)
    spoil(wave)
    assert pressure(wave, RATE_HZ) is None


def test_a_short_flush_does_not_spoil_the_beats_around_it() -> None:
    wave = abp(70, 120, 70)
    wave[500:620] = 260
    read = pressure(wave, RATE_HZ)
    assert read is not None
    assert (read.sap, read.dap) == (pytest.approx(120, abs=3), pytest.approx(70, abs=3))


@given(st.floats(6, 40), st.floats(10, 60))
@settings(max_examples=40, deadline=None)
def test_a_capnogram_reads_rate_and_crest(rate: float, high: float) -> None:
    t = np.arange(30 * RATE_HZ) / RATE_HZ
    wave = np.where((t * rate / 60) % 1.0 > 0.5, high, 0.0)
    read = breaths(wave, RATE_HZ, 8.0)
    assert read.rate == pytest.approx(rate, rel=0.05)
    assert read.crests[-1] == high
    assert read.since_s is not None
    assert read.since_s <= 60 / rate + 0.1


def test_breath_stops_are_counted_from_the_last_breath() -> None:
    t = np.arange(30 * RATE_HZ) / RATE_HZ
    wave = np.where((t * 15 / 60) % 1.0 > 0.5, 38.0, 0.0)
    wave[10 * RATE_HZ :] = 0.0
    read = breaths(wave, RATE_HZ, 8.0)
    assert read.since_s == pytest.approx(22, abs=1)
    assert breaths(np.zeros(30 * RATE_HZ), RATE_HZ, 8.0).since_s == 30
    assert breaths(np.full(30 * RATE_HZ, np.nan), RATE_HZ, 8.0).since_s is None


@given(st.lists(st.floats(-400, 400) | st.just(float("nan")), min_size=1, max_size=900), st.sampled_from([1, 25, 125]))
@settings(max_examples=80, deadline=None)
def test_no_samples_break_the_readers(samples: list[float], rate_hz: int) -> None:
    wave = np.array(samples)
    rate = heart_rate(wave / 100, rate_hz)
    assert rate is None or 0 <= rate < 400
    read = pressure(wave, rate_hz)
    assert read is None or (np.isfinite(read).all() and read.dap <= read.map <= read.sap and read.rate > 0)
    breath = breaths(wave, rate_hz, 8.0)
    assert breath.rate is None or 0 <= breath.rate < 400
    assert breath.since_s is None or 0 <= breath.since_s <= len(wave) / rate_hz
