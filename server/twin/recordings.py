"""Recordings on disk: WFDB records (waves or numeric trends) and CSV trends, in our names and units.

Owns names and units of what is read. Nothing is guessed: a signal of another unit is left out and named in `skipped`, a
file that holds nothing for a bed is refused with what is allowed. What is missing is NaN and stays so.
"""

import csv
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from server.twin.fhir import KPA, NUMBERS
from server.twin.shown import NUMERICS

Series = npt.NDArray[np.float64]

TREND_HZ_MAX: Final = 2.0  # a WFDB record with fewer samples a second holds numbers, with more waves
RATE_HZ_MAX: Final = 1000
VALUES_MAX: Final = 50_000_000
ROWS_MAX: Final = 1_000_000
SPOT_HOLD_S: Final = 300.0  # a cuff pressure is shown this long

WAVE_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "ecg_ii": ("II", "MLII", "ECG", "ECGII"),
    "ecg_v": ("V", "V1", "V2", "V5", "MCL1", "MCL"),
    "abp": ("ABP", "ART", "BP"),
    "ppg": ("PLETH", "PPG"),
    "co2": ("CO2",),
    "resp": ("RESP",),
    "cvp": ("CVP",),
    "pap": ("PAP",),
}
WAVE_UNITS: Final[dict[str, dict[str, float]]] = {
    "ecg_ii": {"mv": 1.0, "uv": 1e-3}, "ecg_v": {"mv": 1.0, "uv": 1e-3},
    "abp": {"mmhg": 1.0, "kpa": KPA}, "co2": {"mmhg": 1.0, "kpa": KPA},
    "cvp": {"mmhg": 1.0, "kpa": KPA}, "pap": {"mmhg": 1.0, "kpa": KPA},
}  # fmt: skip
SHAPES: Final = ("ppg", "resp")  # no calibrated unit: scaled so that the record's 1st..99th percentile is 0..1
TREND_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "hr": ("HR",), "sap": ("ABPSYS", "ARTSYS"), "dap": ("ABPDIAS", "ARTDIAS"), "map": ("ABPMEAN", "ARTMEAN"),
    "spo2": ("SPO2",), "rr": ("RESP", "RR"), "etco2": ("ETCO2",), "temp": ("TEMP", "TEMPERATURE"),
}  # fmt: skip
SPOT_NAMES: Final = {"sap": "NBPSYS", "dap": "NBPDIAS", "map": "NBPMEAN"}
TREND_UNITS: Final[dict[str, tuple[str, ...]]] = {
    "hr": ("bpm", "/min"), "rr": ("pm", "bpm", "/min"), "spo2": ("%",), "temp": ("degc", "cel", "c"),
    "sap": ("mmhg",), "dap": ("mmhg",), "map": ("mmhg",), "etco2": ("mmhg",),
}  # fmt: skip


class RecordingError(ValueError):
    """A recording cannot be read: file, place in it, what was got and what is allowed."""


class Trend(NamedTuple):
    """One number over time: a value holds from its time until the next one, at most `hold_s`; NaN ends it."""

    time_s: Series
    value: Series
    hold_s: float

    def at(self, second: float) -> float:
        """The value then, NaN if there is none."""
        k = int(np.searchsorted(self.time_s, second, side="right")) - 1
        if k < 0 or second - float(self.time_s[k]) >= self.hold_s:
            return float("nan")
        return float(self.value[k])


class Recording(NamedTuple):
    """Waves at one rate and trends; either may be empty. A name may have several trends, the best first."""

    name: str
    duration_s: float
    rate_hz: int
    waves: dict[str, Series]
    trends: dict[str, tuple[Trend, ...]]
    skipped: tuple[str, ...]


def read(path: Path) -> Recording:
    """Read a CSV trend (*.csv) or a WFDB record (its .hea file or its name without one). Raises RecordingError."""
    if path.suffix.lower() == ".csv":
        return _read_csv(path)
    record = path.with_suffix("") if path.suffix.lower() in (".hea", ".dat") else path
    if not record.with_name(record.name + ".hea").is_file():
        raise RecordingError(f"{path}: there is no such recording: give a .csv file or a WFDB record (NAME.hea)")
    return _read_wfdb(record)


# --- CSV -------------------------------------------------------------------------------------------------------------


def _read_csv(path: Path) -> Recording:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise RecordingError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RecordingError(f"{path}: is not UTF-8 text") from None
    lines = csv.reader(text.splitlines())
    header = [name.strip() for name in next(lines, [])]
    _check_header(path, header)
    rows: list[list[float]] = []
    for row in lines:
        if row:
            rows.append(_csv_row(path, lines.line_num, header, row, rows[-1][0] if rows else -1.0))
        if len(rows) > ROWS_MAX:
            raise RecordingError(f"{path}, line {lines.line_num}: at most {ROWS_MAX} rows are allowed")
    if not rows:
        raise RecordingError(f"{path}: has no row under its header")
    table = np.array(rows)
    return _from_table(path.stem, header, table)


def _check_header(path: Path, header: list[str]) -> None:
    if not header or header[0] != "time_s":
        raise RecordingError(f"{path}, line 1: the first column has to be time_s")
    for name in header[1:]:
        if name not in NUMERICS or header.count(name) > 1:
            raise RecordingError(f"{path}, line 1: column {name!r}: allowed once each are {', '.join(NUMERICS)}")
    if len(header) < 2:
        raise RecordingError(f"{path}, line 1: no column beside time_s; allowed are {', '.join(NUMERICS)}")


def _csv_row(path: Path, line: int, header: list[str], row: list[str], last_s: float) -> list[float]:
    if len(row) != len(header):
        raise RecordingError(f"{path}, line {line}: {len(row)} fields, the header has {len(header)}")
    values = [_csv_value(path, line, name, cell.strip()) for name, cell in zip(header, row, strict=True)]
    if not last_s < values[0] < 1e8:
        raise RecordingError(f"{path}, line {line}, time_s: {values[0]:g}: has to rise from row to row, from 0 on")
    return values


def _csv_value(path: Path, line: int, name: str, cell: str) -> float:
    if cell == "" and name != "time_s":
        return float("nan")
    try:
        value = float(cell)
    except ValueError:
        raise RecordingError(f"{path}, line {line}, {name}: {cell[:20]!r} is no number") from None
    if name != "time_s" and not NUMBERS[name].low <= value <= NUMBERS[name].high:
        low, high, unit = NUMBERS[name].low, NUMBERS[name].high, next(iter(NUMBERS[name].units))
        raise RecordingError(f"{path}, line {line}, {name}: {value:g}: allowed is {low:g} to {high:g} {unit}")
    return value


def _from_table(name: str, header: list[str], table: Series) -> Recording:
    time_s = table[:, 0]
    usual = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1.0
    hold = 1.5 * usual
    trends: dict[str, tuple[Trend, ...]] = {
        column: (Trend(time_s, table[:, k], hold),) for k, column in enumerate(header) if k
    }
    return Recording(name, float(time_s[-1]) + usual, 0, {}, trends, ())


# --- WFDB ------------------------------------------------------------------------------------------------------------


def _read_wfdb(record: Path) -> Recording:
    try:
        import wfdb  # only `asclepion feed` needs it
    except ImportError:
        raise RecordingError("WFDB records need the package wfdb: pip install 'asclepion[feed]'") from None
    try:
        header = wfdb.rdheader(str(record))
        if header.sig_len and header.n_sig and header.sig_len * header.n_sig > VALUES_MAX:
            raise RecordingError(f"{record}: more than {VALUES_MAX} values; cut a piece out first")
        read_in = wfdb.rdrecord(str(record))
    except (OSError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise RecordingError(f"{record}: no readable WFDB record ({type(error).__name__})") from None
    if read_in.p_signal is None or not len(read_in.p_signal):
        raise RecordingError(f"{record}: holds no samples")
    names = [str(name).upper().replace(" ", "").replace("_", "") for name in read_in.sig_name]
    units = [str(unit).lower() for unit in read_in.units]
    signals = {name: (unit, read_in.p_signal[:, k]) for k, (name, unit) in enumerate(zip(names, units, strict=True))}
    if float(read_in.fs) <= TREND_HZ_MAX:
        return _wfdb_trends(record, float(read_in.fs), signals)
    return _wfdb_waves(record, float(read_in.fs), signals)


Signals = dict[str, tuple[str, Series]]


def _wfdb_waves(record: Path, rate: float, signals: Signals) -> Recording:
    rate_hz = round(rate)
    if not 1 <= rate_hz <= RATE_HZ_MAX or abs(rate - rate_hz) > 1e-3 * rate:
        raise RecordingError(f"{record}: {rate:g} samples a second: has to be whole and at most {RATE_HZ_MAX}")
    waves: dict[str, Series] = {}
    for name, aliases in WAVE_NAMES.items():
        found = next((signals[alias] for alias in aliases if alias in signals), None)
        if found is None:
            continue
        unit, values = found
        if name in SHAPES:
            waves[name] = _shape(values)
        elif unit in WAVE_UNITS[name]:
            waves[name] = values * WAVE_UNITS[name][unit]
    length = len(next(iter(signals.values()))[1])
    used = {alias for name in waves for alias in WAVE_NAMES[name]}
    return _made(record, length / rate_hz, rate_hz, waves, {}, tuple(name for name in signals if name not in used))


def _shape(values: Series) -> Series:
    """An uncalibrated wave between 0 and 1."""
    known = values[np.isfinite(values)]
    if not len(known):
        return values
    low, high = (float(q) for q in np.quantile(known, (0.01, 0.99)))
    return (values - low) / (high - low) if high > low else np.where(np.isfinite(values), 0.5, np.nan)


def _wfdb_trends(record: Path, rate: float, signals: Signals) -> Recording:
    """PhysioNet numerics write 0 where nothing was measured: a 0 is missing."""
    length = len(next(iter(signals.values()))[1])
    time_s = np.arange(length) / rate
    trends: dict[str, tuple[Trend, ...]] = {}
    used: set[str] = set()
    for name in NUMERICS:
        found = []
        for alias in (*TREND_NAMES[name], SPOT_NAMES.get(name, "")):
            if alias in signals and signals[alias][0] in TREND_UNITS[name]:
                hold = SPOT_HOLD_S if alias == SPOT_NAMES.get(name) else 1.5 / rate
                found.append(_trend(name, time_s, signals[alias][1], hold))
                used.add(alias)
        if found:
            trends[name] = tuple(found)
    return _made(record, length / rate, 0, {}, trends, tuple(name for name in signals if name not in used))


def _trend(name: str, time_s: Series, values: Series, hold_s: float) -> Trend:
    """Continuous numbers keep their gaps; spot readings keep only what was read."""
    good = np.isfinite(values) & (values != 0) & (values >= NUMBERS[name].low) & (values <= NUMBERS[name].high)
    if hold_s == SPOT_HOLD_S:
        return Trend(time_s[good], values[good], hold_s)
    return Trend(time_s, np.where(good, values, np.nan), hold_s)


def _made(
    record: Path,
    duration_s: float,
    rate_hz: int,
    waves: dict[str, Series],
    trends: dict[str, tuple[Trend, ...]],
    skipped: tuple[str, ...],
) -> Recording:
    if not waves and not trends:
        known = sorted({alias for aliases in WAVE_NAMES.values() for alias in aliases})
        raise RecordingError(f"{record}: no signal that a bed can show among {', '.join(skipped)}; known: {known}")
    return Recording(record.name, duration_s, rate_hz, waves, trends, skipped)
