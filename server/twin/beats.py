"""Beats and breaths found in a device's own waves: what a monitor reads when the device sends no numbers.

Owns detection on a window of samples (a few seconds) and the gate for artefacts. Never fills a gap: windows come with
NaN where samples are missing, and what touches a gap is not a beat. ECG: energy of the slope against a threshold that
follows the window (after Pan and Tompkins 1985, IEEE Trans Biomed Eng 32:230). ABP: slope sum (Zong 2003, Computers in
Cardiology 30:259), gated by physiological limits (Sun 2006, Computers in Cardiology 33:13).
"""

import itertools
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

REFRACTORY_S: Final = 0.25
QRS_WINDOW_S: Final = 0.10
SLOPE_S: Final = 0.016  # the slope is taken over twice this
SLOPE_MIN_MV_S: Final = 3.0  # rms slope of a QRS complex at least
T_WAVE_S: Final = 0.36
SILENCE_S: Final = 4.0  # an ECG without a beat for this long is asystole
CONTRAST_MIN: Final = 15.0  # a complex's energy over the window's median; below: noise, compressions, fibrillation
LEAD_OFF_MV: Final = 0.005  # a standard deviation below this is a lead that is off, not a heart that stands still
SSF_S: Final = 0.128
PULSE_MIN, DAP_MIN, SAP_MAX = 12.0, 15.0, 260.0  # mmHg
TOP_S: Final = 0.15  # a beat rests at its top for less: longer is a flush or a clipped signal
BREATH_S: Final = (1.0, 15.0)


class Pressure(NamedTuple):
    """Readings of an arterial pressure window: medians of its valid beats; mmHg, /min."""

    sap: float
    dap: float
    map: float
    rate: float


def _moving_sum(values: Wave, width: int) -> Wave:
    """Sum over the `width` samples ending at each sample."""
    total = np.concatenate((np.zeros(width), np.cumsum(values)))
    return np.asarray(total[width:] - total[:-width])


def _usual_peak(values: Wave, rate_hz: int, share: float) -> float:
    """What a beat usually reaches: a quantile of the largest value in each second."""
    seconds = max(1, len(values) // rate_hz)
    highs = np.sort([part.max() for part in np.array_split(values, seconds)])
    return float(highs[min(int(share * len(highs)), len(highs) - 1)])


def _crests(values: Wave, threshold: float, apart: int) -> list[int]:
    """Largest places above the threshold, at least `apart` samples from each other."""
    above = np.flatnonzero(values > threshold)
    crests: list[int] = []
    if not len(above):
        return crests
    for run in np.split(above, np.flatnonzero(np.diff(above) > 1) + 1):
        best = int(run[0] + np.argmax(values[run]))
        if crests and best - crests[-1] < apart:
            if values[best] > values[crests[-1]]:
                crests[-1] = best
        else:
            crests.append(best)
    return crests


def _slope_energy(ecg_mv: Wave, rate_hz: int) -> Wave:
    """Mean square slope over the last 100 ms, (mV/s)^2; a gap has none."""
    half = max(1, round(SLOPE_S * rate_hz))
    slope = np.zeros(len(ecg_mv))
    slope[half:-half] = (ecg_mv[2 * half :] - ecg_mv[: -2 * half]) * (rate_hz / (2.0 * half))
    slope = np.nan_to_num(slope, nan=0.0)
    width = max(1, round(QRS_WINDOW_S * rate_hz))
    return _moving_sum(slope * slope, width) / width


def _complexes(energy: Wave, rate_hz: int) -> list[int]:
    """Crests of QRS complexes; a smaller one soon after another is its T wave."""
    threshold = max(0.2 * _usual_peak(energy, rate_hz, 0.6), SLOPE_MIN_MV_S**2)
    found: list[int] = []
    for crest in _crests(energy, threshold, round(REFRACTORY_S * rate_hz)):
        early = found and crest - found[-1] < T_WAVE_S * rate_hz
        if not (early and energy[crest] < 0.35 * energy[found[-1]]):
            found.append(crest)
    return found


def qrs(ecg_mv: Wave, rate_hz: int) -> list[int]:
    """Sample numbers of QRS complexes in a window of at least a second; the energy's crest, a few samples after R."""
    return _complexes(_slope_energy(ecg_mv, rate_hz), rate_hz)


def rate_of(beats: list[int], rate_hz: int, valid: npt.NDArray[np.bool_]) -> float | None:
    """Beats per minute by the mean of the newest eight intervals that touch no gap; None with fewer than two."""
    pairs = itertools.pairwise(beats)
    intervals = [b - a for a, b in pairs if b - a < 4 * rate_hz and bool(valid[a : b + 1].all())]
    if len(intervals) < 2:
        return None
    kept = intervals[-8:]
    return 60.0 * rate_hz * len(kept) / sum(kept)


def heart_rate(ecg_mv: Wave, rate_hz: int) -> float | None:
    """Rate of an ECG window; 0 when the lead is on and there is no beat in its last seconds; None if not readable."""
    if len(ecg_mv) < SILENCE_S * rate_hz:
        return None
    energy = _slope_energy(ecg_mv, rate_hz)
    beats = _complexes(energy, rate_hz)
    last = ecg_mv[-round(SILENCE_S * rate_hz) :]
    if (not beats or beats[-1] < len(ecg_mv) - len(last)) and bool(np.isfinite(last).all()):
        return 0.0 if float(np.std(last)) > LEAD_OFF_MV else None
    if beats and float(np.median(energy[beats])) < CONTRAST_MIN * float(np.median(energy)):
        return None
    return rate_of(beats, rate_hz, np.isfinite(ecg_mv))


def pulses(abp: Wave, rate_hz: int) -> list[int]:
    """Onsets (feet) of pressure pulses."""
    rise = np.maximum(np.nan_to_num(np.diff(abp, prepend=abp[:1]), nan=0.0), 0.0)
    ssf = _moving_sum(rise, max(1, round(SSF_S * rate_hz)))
    threshold = max(0.4 * _usual_peak(ssf, rate_hz, 0.5), 0.5 * PULSE_MIN)
    feet: list[int] = []
    back = round(0.25 * rate_hz)
    for crest in _crests(ssf, threshold, round(REFRACTORY_S * rate_hz)):
        first = max(0, crest - back)
        part = np.nan_to_num(abp[first : crest + 1], nan=np.inf)
        foot = first + len(part) - 1 - int(np.argmin(part[::-1]))
        if not feet or foot - feet[-1] > round(0.2 * rate_hz):
            feet.append(foot)
    return feet


def _is_pulse(beat: Wave, rate_hz: int) -> bool:
    """Could this stretch from foot to foot be a beat of a patient, measured through an open line?"""
    if not np.isfinite(beat).all() or not REFRACTORY_S * rate_hz < len(beat) < 3 * rate_hz:
        return False
    low, high = float(beat.min()), float(beat.max())
    if low < DAP_MIN or high > SAP_MAX or high - low < PULSE_MIN:
        return False
    resting = int(np.count_nonzero(beat > high - 0.02 * (high - low)))
    at_top = int(np.argmax(beat))
    mean_part = (float(beat.mean()) - low) / (high - low)
    return resting < TOP_S * rate_hz and at_top < 0.6 * len(beat) and 0.15 < mean_part < 0.75


def pressure(abp: Wave, rate_hz: int) -> Pressure | None:
    """Readings of a pressure window; None unless at least three valid beats make up most of what was found."""
    feet = pulses(abp, rate_hz)
    beats = [abp[a:b] for a, b in itertools.pairwise(feet)]
    good = [beat for beat in beats if _is_pulse(beat, rate_hz)]
    if len(good) < 3 or 2 * len(good) < len(beats):
        return None
    middle = float(np.median([beat.max() for beat in good]))
    alike = [beat for beat in good if abs(float(beat.max()) - middle) < 0.35 * middle]
    return Pressure(
        float(np.median([beat.max() for beat in alike])),
        float(np.median([beat.min() for beat in alike])),
        float(np.median([beat.mean() for beat in alike])),
        60.0 * rate_hz / float(np.mean([len(beat) for beat in alike])),
    )


class Breaths(NamedTuple):
    """Breaths of a window: rate /min or None, the highest value of each, seconds since the last one ended or None."""

    rate: float | None
    crests: list[float]
    since_s: float | None


def breaths(wave: Wave, rate_hz: int, swing_min: float) -> Breaths:
    """Breaths of a respiration wave or capnogram: falls from its upper third below its lower one."""
    valid = np.isfinite(wave)
    if int(np.count_nonzero(valid)) < 5 * rate_hz:
        return Breaths(None, [], None)
    low, high = (float(q) for q in np.quantile(wave[valid], (0.05, 0.95)))
    ends: list[int] = []
    crests: list[float] = []
    if high - low >= swing_min:
        ends, crests = _swings(np.nan_to_num(wave, nan=low), low + (high - low) / 3, high - (high - low) / 3)
    since = (len(wave) - 1 - ends[-1] if ends else len(wave)) / rate_hz
    gaps = np.diff(ends) / rate_hz
    kept = gaps[(gaps > BREATH_S[0]) & (gaps < BREATH_S[1])][-6:]
    return Breaths(float(60.0 / kept.mean()) if len(kept) else None, crests[-6:], since)


def _swings(wave: Wave, lower: float, upper: float) -> tuple[list[int], list[float]]:
    """Where the wave falls below `lower` after having been above `upper`, and how high it was in between."""
    state = np.where(wave > upper, 1, np.where(wave < lower, -1, 0))
    places = np.flatnonzero(state)
    turns = places[np.flatnonzero(np.diff(state[places]) != 0) + 1] if len(places) else places
    ends = [int(k) for k in turns if state[k] == -1]
    begins = [0, *ends]
    return ends, [float(wave[a:b].max()) for a, b in zip(begins, ends, strict=False) if b > a]
