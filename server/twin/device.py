"""One device that feeds a bed: its samples by number, its numbers, and what is read from its own waves.

Owns the newest seconds of each wave and what of them was not shown yet. Numbers the device does not send are derived
from its own waves only; a gap stays a gap. Time is ticks. A wave is good for 5 s after it came; a number for three
times as long as it took to come, from 5 s to 5 min, so that a chart's spot measurements are not called silence.
"""

from typing import Final

import numpy as np
from msgspec import Struct

from server.twin import beats
from server.twin.beats import Wave
from server.twin.frames import SAMPLES_MAX, Samples
from server.twin.shown import CHANNELS, MISSING, NUMERICS, SCALES, DeviceData

FRESH_S: Final = 5.0
SPOT_FRESH_S: Final = 300.0
WINDOW_S: Final = 10
BREATH_WINDOW_S: Final = 30
GAP_MAX_S: Final = 10  # a jump of more, forth or back, begins a new count
KEPT_MAX_S: Final = 60
BACKLOG_S: Final = 2  # more than this waiting is shown at once
RESP_SWING, CO2_SWING = 0.02, 8.0  # least swing of a breath: of the respiration wave's own unit, mmHg
CHANNEL_BYTES_MAX: Final = 2 * 1000 * 60


class Feed(Struct):
    """A device at a bed."""

    source: str
    rate_hz: int = 0
    head: int = 0  # number of the first sample kept
    sent: int = 0  # number of the first sample not shown yet
    shift: int = 0  # number shown to viewers less the device's own
    waves: dict[str, bytes] = {}  # each from `head` on, equally long, int16 little endian
    numbers: dict[str, tuple[float, int, int]] = {}  # value, tick it came, ticks since the one before (0: the first)
    derived: dict[str, float] = {}
    since_breath_s: float | None = None
    last_tick: int = 0
    wave_tick: int = 0

    @property
    def end(self) -> int:
        """Number of the sample after the newest."""
        return self.head + max((len(data) // 2 for data in self.waves.values()), default=0)

    def take(self, block: DeviceData, tick: int) -> None:
        """A block arrived."""
        self.last_tick = tick
        for name, value in block.numerics.items():
            if name in NUMERICS and np.isfinite(value):
                before = self.numbers.get(name)
                self.numbers[name] = (float(value), tick, tick - before[1] if before else 0)
        rows = {name: data for name, data in block.waves.items() if name in CHANNELS and len(data) % 2 == 0}
        samples = min((len(data) // 2 for data in rows.values()), default=0)
        if block.rate_hz and samples and 2 * samples <= CHANNEL_BYTES_MAX:
            self._append(block.rate_hz, block.first_sample, {name: data[: 2 * samples] for name, data in rows.items()})
            self.wave_tick = tick
            self._derive()

    def _append(self, rate_hz: int, first: int, rows: dict[str, bytes]) -> None:
        """Put samples at their numbers: what is between is missing, what was there already stays."""
        length = len(next(iter(rows.values()))) // 2
        apart_s = max(first - self.end, self.end - first - length) / rate_hz
        if rate_hz != self.rate_hz or apart_s > GAP_MAX_S or not self.waves:
            self._restart(rate_hz, first)
        end = max(self.end, first + length)
        skip = max(self.head - first, 0)
        for name in sorted(self.waves.keys() | rows.keys()):
            row = np.full(end - self.head, MISSING, "<i2")
            old = np.frombuffer(self.waves.get(name, b""), "<i2")
            row[: len(old)] = old
            if name in rows:
                new = np.frombuffer(rows[name], "<i2")[skip:]
                place = row[first + skip - self.head :][: len(new)]
                place[:] = np.where(place == MISSING, new, place)
            self.waves[name] = row.tobytes()
        self._trim()

    def _restart(self, rate_hz: int, first: int) -> None:
        """A new count of samples begins; what is shown goes on a second later: viewers see a gap, never a jump back."""
        shown = self.end + self.shift + rate_hz if self.waves else first
        self.rate_hz, self.head, self.sent, self.waves = rate_hz, first, first, {}
        self.shift = shown - first

    def _trim(self) -> None:
        """Keep what the longest window reads and what waits to be shown."""
        drop = min(self.end - BREATH_WINDOW_S * self.rate_hz, self.sent) - self.head
        drop = max(drop, self.end - self.head - KEPT_MAX_S * self.rate_hz)
        if drop > 0:
            self.waves = {name: data[2 * drop :] for name, data in self.waves.items()}
            self.head += drop
            self.sent = max(self.sent, self.head)

    def release(self, waves_hz: int) -> list[tuple[int, list[tuple[str, Samples]]]]:
        """What is due now at `waves_hz` calls a second: (first sample number, rows by channel) of each frame."""
        waiting = self.end - self.sent
        count = min(waiting, max(-(-self.rate_hz // waves_hz), waiting - BACKLOG_S * self.rate_hz))
        out = []
        while count > 0:
            part = min(count, SAMPLES_MAX)
            at = 2 * (self.sent - self.head)
            rows = [(name, np.frombuffer(self.waves[name][at : at + 2 * part], "<i2")) for name in sorted(self.waves)]
            out.append((self.sent + self.shift, rows))
            self.sent += part
            count -= part
        return out

    def _window(self, name: str, seconds: int) -> Wave | None:
        """The newest seconds in physical units, NaN where missing; None if the channel is not sent."""
        if name not in self.waves:
            return None
        raw = np.frombuffer(self.waves[name][-2 * seconds * self.rate_hz :], "<i2")
        return np.where(raw == MISSING, np.nan, raw / SCALES[name])

    def _derive(self) -> None:
        """Read what can be read from the waves."""
        found: dict[str, float | None] = {}
        abp = self._window("abp", WINDOW_S)
        pressure = beats.pressure(abp, self.rate_hz) if abp is not None and len(abp) > 2 * self.rate_hz else None
        if pressure is not None:
            found |= {"sap": pressure.sap, "dap": pressure.dap, "map": pressure.map}
        leads = [self._window(name, WINDOW_S) for name in ("ecg_ii", "ecg_v")]
        rates = [beats.heart_rate(lead, self.rate_hz) for lead in leads if lead is not None]
        found["hr"] = _heart_rate(rates, pressure.rate if pressure is not None else None)
        found |= self._breathing()
        self.derived = {name: value for name, value in found.items() if value is not None}

    def _breathing(self) -> dict[str, float | None]:
        """Rate from the capnogram if there is one, else from the respiration wave; end-tidal CO2."""
        co2, resp = self._window("co2", BREATH_WINDOW_S), self._window("resp", BREATH_WINDOW_S)
        self.since_breath_s = None
        if co2 is not None:
            read = beats.breaths(co2, self.rate_hz, CO2_SWING)
            crest = float(np.median(read.crests[-3:])) if read.crests else None
            self.since_breath_s = read.since_s
            return {"rr": read.rate, "etco2": crest}
        if resp is not None:
            read = beats.breaths(resp, self.rate_hz, RESP_SWING)
            self.since_breath_s = read.since_s
            return {"rr": read.rate}
        return {}

    def silent_s(self, tick: int, tick_hz: int) -> float:
        """Seconds since anything came, less the pause that is usual with this device."""
        usual_s = FRESH_S if self.waves else max((_patience_s(n[2], tick_hz) for n in self.numbers.values()), default=0)
        return (tick - self.last_tick) / tick_hz - max(0.0, usual_s - FRESH_S)

    def is_silent(self, tick: int, tick_hz: int) -> bool:
        """Nothing came for so long that values are blank."""
        return self.silent_s(tick, tick_hz) > FRESH_S

    def apnoea_s(self) -> float | None:
        """Seconds since the last breath in the device's wave; None without one."""
        return self.since_breath_s

    def values(self, tick: int, tick_hz: int) -> dict[str, float | None]:
        """The device's own numbers, else what its waves say; None when neither is fresh."""
        values: dict[str, float | None] = dict.fromkeys(NUMERICS)
        if tick - self.wave_tick <= FRESH_S * tick_hz:
            values |= self.derived
        for name, (value, came, pause) in self.numbers.items():
            if tick - came <= _patience_s(pause, tick_hz) * tick_hz:
                values[name] = value
        return values


def _patience_s(pause: int, tick_hz: int) -> float:
    """How long a number is good that came `pause` ticks after the one before; 0: it was the first."""
    return min(max(3 * pause / tick_hz, FRESH_S), SPOT_FRESH_S) if pause else SPOT_FRESH_S


def _heart_rate(leads: list[float | None], pulse: float | None) -> float | None:
    """The first lead that reads a rate, else the pulse; 0 only if no lead has a beat and there is no pulse."""
    for rate in (*leads, pulse):
        if rate:
            return rate
    return 0.0 if leads and all(rate == 0.0 for rate in leads) else None
