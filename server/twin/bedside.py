"""All beds of the world: who lies there, what is shown, what acts. Owns sources, alarms and orders; never sends.

A bed shows one source at a time, the model or a device, never a mixture. The model goes on behind a device, so that it
is there when the device ends.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct

from server.sim.physiology import waves
from server.twin.alarms import Alarms
from server.twin.device import Feed
from server.twin.frames import wave_frame
from server.twin.model import SECOND, Care, Twins
from server.twin.news2 import news2
from server.twin.orders import Order
from server.twin.patients import Patient
from server.twin.shown import NUMERICS, BedOut, DeviceData, Vitals

VERSION: Final = 1
MODEL, DEVICE = 0, 1
FEED_ENDS_S: Final = 60.0


class Saved(Struct):
    """A dump."""

    version: int
    beds: int
    tick: int
    sample: int
    blocks: bytes
    care: list[Care]
    alarms: list[Alarms]
    feeds: list[Feed | None]
    pending: bytes  # (beds, channels, samples not sent)
    wave_sample: int
    changed: list[bool]


class Bedside:
    """The beds. `step` is called once a tick with ticks rising by one."""

    def __init__(self, beds: Sequence[Patient], tick_hz: int, seed: int, waves_hz: int) -> None:
        self._ages = [patient.age_y for patient in beds]
        self._tick_hz, self._waves_hz = tick_hz, waves_hz
        self._twins = Twins(beds, seed)
        self._alarms = [Alarms(age) for age in self._ages]
        self._feeds: list[Feed | None] = [None] * len(beds)
        self._changed = [False] * len(beds)
        self._tick = 0
        self._wave_sample = 0  # first model sample not sent yet
        self._pending = np.zeros((len(beds), len(waves.SHOWN), 0), np.int16)

    def order(self, bed: int, order: Order, tick: int) -> None:
        """A recorded order takes effect. Never raises."""
        self._twins.order(bed, order)
        self._changed[bed] = True

    def device(self, bed: int, block: DeviceData, tick: int) -> None:
        """Device data for a bed: it shows this source from now on, until `end` or 60 s of silence.

        While one device feeds the bed, blocks of another are ignored.
        """
        feed = self._feeds[bed]
        if feed is not None and feed.source != block.source:
            return
        if block.end:
            self._set_feed(bed, None)
            return
        if feed is None:
            feed = Feed(block.source)
            self._set_feed(bed, feed)
        feed.take(block, tick)

    def _set_feed(self, bed: int, feed: Feed | None) -> None:
        """Change the source: alarms of one say nothing about the other, but that a device fell silent stays latched."""
        if self._feeds[bed] is not feed:
            self._feeds[bed] = feed
            self._alarms[bed] = self._alarms[bed].fresh()
            self._changed[bed] = True

    def acknowledge(self, bed: int, alarm: str, by: str, tick: int) -> bool:
        """Acknowledge a latched alarm. False if there is no such alarm."""
        known = self._alarms[bed].acknowledge(alarm, by)
        self._changed[bed] |= known
        return known

    def step(self, tick: int) -> list[BedOut]:
        """Advance all beds to `tick`; what to show, in bed order."""
        until = tick * SECOND // self._tick_hz
        self._pending = np.concatenate((self._pending, self._twins.advance(until)), axis=2)
        sends = tick * self._waves_hz // self._tick_hz != (tick - 1) * self._waves_hz // self._tick_hz
        out: list[BedOut] = []
        for bed in range(len(self._ages)):
            self._end_silent(bed, tick)
            second = self._is_second(bed, tick)
            if sends:
                out.extend(BedOut(bed, frame) for frame in self._frames(bed))
            if second or self._changed[bed]:
                out.append(BedOut(bed, self._vitals(bed, tick, second)))
                self._changed[bed] = False
        if sends:
            self._pending = self._pending[:, :, :0]
            self._wave_sample = until
        self._tick = tick
        return out

    def _is_second(self, bed: int, tick: int) -> bool:
        """Does a second of this bed end with this tick? Beds take turns, so that no tick pays for all."""
        turn = tick + bed * self._tick_hz // len(self._ages)
        return turn // self._tick_hz != (turn - 1) // self._tick_hz

    def _end_silent(self, bed: int, tick: int) -> None:
        feed = self._feeds[bed]
        if feed is not None and feed.silent_s(tick, self._tick_hz) >= FEED_ENDS_S:
            self._set_feed(bed, None)

    def _frames(self, bed: int) -> list[bytes]:
        """Wave frames due now, of the one source the bed shows."""
        feed = self._feeds[bed]
        if feed is not None:
            return [wave_frame(bed, DEVICE, first, feed.rate_hz, rows) for first, rows in feed.release(self._waves_hz)]
        rows = list(zip(waves.SHOWN, self._pending[bed], strict=True))
        return [wave_frame(bed, MODEL, self._wave_sample, SECOND, rows)] if self._pending.shape[2] else []

    def _vitals(self, bed: int, tick: int, second: bool) -> Vitals:
        """The numbers now; once a second the alarms are judged by them."""
        feed = self._feeds[bed]
        values: dict[str, float | None]
        if feed is None:
            numbers = self._twins.numbers(bed)
            values = {name: getattr(numbers, name) for name in NUMERICS}
            judged = values | {"apnoea_s": numbers.apnoea_s, "silent_s": None}
            oxygen, alert, live = numbers.oxygen, numbers.alert, True
        else:
            values = feed.values(tick, self._tick_hz)
            silent = feed.silent_s(tick, self._tick_hz)
            judged = values | {"apnoea_s": feed.apnoea_s(), "silent_s": silent}
            oxygen, alert, live = None, None, not feed.is_silent(tick, self._tick_hz)
        if second:
            self._alarms[bed].update(judged)
        score = news2(self._ages[bed], values, oxygen, alert)
        source = "model" if feed is None else f"device: {feed.source}"
        running = self._twins.running(bed) if feed is None else ()
        rows = self._alarms[bed].rows()
        hr, sap, dap, mean, spo2, rr, etco2, temp = (values[name] for name in NUMERICS)
        told = (hr, sap, dap, mean, spo2, rr, etco2, temp)
        return Vitals(tick, source, live, *told, score.points, score.text, rows, running)

    def digest(self) -> bytes:
        """16 bytes over everything that matters."""
        return blake2b(self.dump(), digest_size=16).digest()

    def dump(self) -> bytes:
        """Everything needed to go on from here, versioned."""
        saved = Saved(
            version=VERSION,
            beds=len(self._ages),
            tick=self._tick,
            sample=self._twins.sample,
            blocks=self._twins.blocks.tobytes(),
            care=self._twins.care,
            alarms=self._alarms,
            feeds=self._feeds,
            pending=self._pending.tobytes(),
            wave_sample=self._wave_sample,
            changed=self._changed,
        )
        return msgspec.msgpack.encode(saved)

    def load(self, data: bytes) -> None:
        """Go on from a dump of the same beds. Raises ValueError on another version, other beds or damaged data."""
        saved = msgspec.msgpack.decode(data, type=Saved)
        if (saved.version, saved.beds) != (VERSION, len(self._ages)):
            got = f"version {saved.version} with {saved.beds} beds"
            raise ValueError(f"dump of beds is of {got}, expected is version {VERSION} with {len(self._ages)}")
        shape = self._twins.blocks.shape
        self._twins.blocks = np.frombuffer(saved.blocks, np.float64).reshape(shape).copy()
        self._twins.care, self._twins.sample = saved.care, saved.sample
        self._alarms, self._feeds, self._changed = saved.alarms, saved.feeds, saved.changed
        self._tick, self._wave_sample = saved.tick, saved.wave_sample
        rows = (saved.beds, len(waves.SHOWN), saved.sample - saved.wave_sample)
        self._pending = np.frombuffer(saved.pending, np.int16).reshape(rows).copy()
