"""What a bed shows and what a device sends, as plain tuples. The world turns them into its own events.

Owns the shapes and the wave channels. Field names are those of `events.BedVitals`, `events.Alarm` and `DeviceBlock`.
"""

from typing import Final, Literal, NamedTuple

Priority = Literal["high", "medium", "low"]

CHANNELS: Final[dict[str, int]] = {
    "ecg_ii": 1, "ecg_v": 2, "abp": 3, "ppg": 4, "co2": 5, "resp": 6, "cvp": 7, "pap": 8,
}  # fmt: skip
"""Channel numbers of a wave block."""

SCALES: Final[dict[str, float]] = {
    "ecg_ii": 1000.0, "ecg_v": 1000.0, "abp": 100.0, "ppg": 1e4, "co2": 100.0, "resp": 1000.0, "cvp": 100.0,
    "pap": 100.0,
}  # fmt: skip
"""int16 steps per physical unit: mV, mV, mmHg, 1, mmHg, 1, mmHg, mmHg."""

MISSING: Final = -32768
NUMERICS: Final = ("hr", "sap", "dap", "map", "spo2", "rr", "etco2", "temp")


class AlarmRow(NamedTuple):
    """One latched alarm; priorities as IEC 60601-1-8."""

    code: str
    priority: Priority
    text: str
    active: bool  # the condition still holds
    acked_by: str


class Vitals(NamedTuple):
    """A bed's numbers. None: no value, never a guess."""

    tick: int
    source: str  # "model" or "device: NAME"
    live: bool
    hr: float | None  # /min
    sap: float | None  # mmHg
    dap: float | None  # mmHg
    map: float | None  # mmHg
    spo2: float | None  # %
    rr: float | None  # /min
    etco2: float | None  # mmHg
    temp: float | None  # degC
    news2: int | None
    news2_text: str
    alarms: tuple[AlarmRow, ...]
    running: tuple[str, ...]


class DeviceData(NamedTuple):
    """What one DeviceBlock carries, without the bed. `waves`: channel -> int16 little endian from `first_sample` on."""

    source: str
    numerics: dict[str, float]
    rate_hz: int
    first_sample: int
    waves: dict[str, bytes]
    end: bool


class BedOut(NamedTuple):
    """Something to pass on to the viewers of `bed`: its numbers, or a binary wave frame."""

    bed: int
    body: Vitals | bytes
