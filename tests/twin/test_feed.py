"""Recordings read from disk and played: names, units, gaps, pace, and a real little server at the other end."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import wfdb
from fhir.resources.R4B.observation import Observation

from server.clock import ManualClock
from server.twin.bedside import Bedside
from server.twin.feed import DEMO, FeedError, blocks, run
from server.twin.fhir import observation_to_block
from server.twin.patients import Standard
from server.twin.recordings import Recording, RecordingError, Trend, read
from server.twin.shown import DeviceData, Vitals

SHARED = Path(__file__).parents[2].parent / "shared/data/twins/waveforms"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not here")


def play(recording: Recording, seconds: int, first: int = 0, tick_hz: int = 20) -> list[Vitals]:
    """Feed seconds of a recording into a bed as the edge and the shard would; the numbers shown each second."""
    beds = Bedside([Standard()], tick_hz, 1, 10)
    shown: list[Vitals] = []
    for second, (_, body) in enumerate(blocks(recording, "ward/bed-1", 1.0)):
        if second < first:
            continue
        if second >= first + seconds:
            break
        _, row = observation_to_block(body)
        block = DeviceData(row.source, row.numerics, row.rate_hz, row.first_sample, row.waves, row.end)
        start = (second - first) * tick_hz + 1
        beds.device(0, block, start)
        for tick in range(start, start + tick_hz):
            shown += [out.body for out in beds.step(tick) if isinstance(out.body, Vitals)]
    return shown


@needs_shared
def test_the_real_record_reads_its_own_rate_and_pressures_at_the_bed() -> None:
    shown = play(read(SHARED / "s00001/3975656_0015"), 300)
    assert len(shown) == 301  # at once when the source changes, then each second
    assert {v.source for v in shown} == {"device: 3975656_0015"}

    def mean(name: str) -> float:
        return float(np.mean([value for v in shown if (value := getattr(v, name)) is not None]))

    assert mean("hr") == pytest.approx(61, abs=1)
    assert mean("sap") == pytest.approx(139, abs=2)
    assert mean("dap") == pytest.approx(71, abs=2)
    assert mean("map") == pytest.approx(98, abs=2)
    assert sum(v.hr is not None for v in shown) > 290
    assert sum(v.sap is not None for v in shown) > 270
    assert all(v.spo2 is None and v.rr is None and v.temp is None and v.news2 is None for v in shown)
    assert "apnoea" not in {row.code for v in shown for row in v.alarms}


@needs_shared
def test_a_flush_and_a_zeroed_line_give_no_pressure() -> None:
    shown = play(read(SHARED / "s00001/3975656_0012"), 35)
    assert all(v.sap is None and v.map is None for v in shown)
    assert shown[-1].hr == pytest.approx(58, abs=3)


@needs_shared
def test_an_unconnected_transducer_gives_no_pressure() -> None:
    shown = play(read(SHARED / "s25047/3234460_0018"), 200)
    assert all(v.sap is None and v.map is None for v in shown)


@needs_shared
def test_the_numeric_trend_of_32_hours_keeps_its_numbers_and_gaps() -> None:
    recording = read(SHARED / "s00001/s00001-2896-10-10-00-31n")
    assert recording.duration_s == pytest.approx(1936 * 60)
    assert recording.waves == {}
    values = {name: [trends[0].at(60 * k) for k in range(1936)] for name, trends in recording.trends.items()}
    assert np.nanmedian(values["hr"]) == pytest.approx(55.7, abs=0.2)
    assert np.nanmedian(values["rr"]) == pytest.approx(11.9, abs=0.2)
    assert np.nanmedian(values["spo2"]) == pytest.approx(96.9, abs=0.2)
    spot = recording.trends["sap"][-1]
    assert len(spot.value) == 152
    assert np.median(spot.value) == pytest.approx(132, abs=1)
    unsteady = read(SHARED / "s25047/s25047-2704-05-04-10-44n")
    assert unsteady.duration_s == pytest.approx(72 * 60)
    assert np.isnan([unsteady.trends["spo2"][0].at(60 * k) for k in range(72)]).any()


@needs_shared
def test_a_record_of_360_samples_a_second_reads_75_beats() -> None:
    recording = read(SHARED / "100.hea")
    assert (recording.rate_hz, sorted(recording.waves)) == (360, ["ecg_ii", "ecg_v"])
    shown = play(recording, 60)
    rates = [v.hr for v in shown if v.hr is not None]
    assert np.mean(rates) == pytest.approx(75, abs=2)


def test_the_demonstration_recording_is_the_models_and_reads_as_it() -> None:
    recording = read(DEMO)
    assert sorted(recording.waves) == ["abp", "co2", "ecg_ii", "ppg", "resp"]
    shown = play(recording, 45)
    last = shown[-1]
    abp = recording.waves["abp"][-1250:]
    assert last.sap == pytest.approx(abp.max(), abs=4)
    assert last.dap == pytest.approx(abp.min(), abs=4)
    assert 60 < last.hr < 85
    assert 10 < last.rr < 18
    assert last.etco2 == pytest.approx(recording.waves["co2"].max(), abs=2)
    trend = read(DEMO.with_name("demo_trend.csv"))
    assert trend.trends["map"][0].at(0) - trend.trends["map"][0].at(900) > 5
    assert play(trend, 3)[-1].news2 is not None


def test_an_independent_reader_reads_the_demonstration_recording() -> None:
    ours = read(DEMO)
    theirs = wfdb.rdrecord(str(DEMO))
    raw = wfdb.rdrecord(str(DEMO), physical=False)
    assert theirs.sig_name == ["II", "ABP", "PLETH", "CO2", "RESP"]
    assert raw.calc_checksum() == [value % 65536 for value in raw.checksum]
    assert np.array_equal(theirs.p_signal[:, 1], ours.waves["abp"])


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: the first column has to be time_s"),
        ("t,hr\n0,60\n", "line 1: the first column has to be time_s"),
        ("time_s\n0\n", "no column beside time_s"),
        ("time_s,pulse\n0,60\n", "line 1: column 'pulse': allowed once each are hr"),
        ("time_s,hr,hr\n0,60,60\n", "allowed once each"),
        ("time_s,hr\n", "has no row under its header"),
        ("time_s,hr\n0,60\n1,sixty\n", "line 3, hr: 'sixty' is no number"),
        ("time_s,hr\n0,60,3\n", "line 2: 3 fields, the header has 2"),
        ("time_s,hr\n5,60\n4,60\n", "line 3, time_s: 4: has to rise"),
        ("time_s,hr\n0,6000\n", "line 2, hr: 6000: allowed is 0 to 400 /min"),
        ("time_s,hr\nnan,60\n", "line 2, time_s: nan: has to rise"),
        ("time_s,hr\n0,inf\n", "line 2, hr: inf: allowed is"),
    ],
)
def test_a_bad_csv_is_refused_with_file_line_and_field(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "trend.csv", text)
    with pytest.raises(RecordingError) as refused:
        read(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_csv_trend_holds_values_and_keeps_gaps(tmp_path: Path) -> None:
    recording = read(write(tmp_path / "night.csv", "time_s,hr,spo2\n0,60,97\n10,,96\n20,62,95\n\n60,63,94\n"))
    hr = recording.trends["hr"][0]
    assert [hr.at(second) for second in (0, 9, 20, 60)] == [60, 60, 62, 63]
    assert np.isnan([hr.at(second) for second in (-1, 10, 19, 50, 80)]).all()
    assert recording.trends["spo2"][0].at(12) == 96


@pytest.mark.parametrize("name", ["nothing", "nothing.csv", "nothing.hea"])
def test_a_missing_recording_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordingError, match="nothing"):
        read(tmp_path / name)


def test_broken_records_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "bad.hea", "this is no header\n")
    with pytest.raises(RecordingError, match="no readable WFDB record"):
        read(tmp_path / "bad")
    write(tmp_path / "half.hea", "half 1 125 100\nhalf.dat 16 100(0)/mmHg 16 0 0 0 0 ABP\n")
    with pytest.raises(RecordingError, match="half"):
        read(tmp_path / "half")
    write(tmp_path / "eeg.hea", "eeg 1 125 2\neeg.dat 16 100(0)/uV 16 0 0 0 0 EEG\n")
    (tmp_path / "eeg.dat").write_bytes(bytes(4))
    with pytest.raises(RecordingError, match="no signal that a bed can show among EEG"):
        read(tmp_path / "eeg")


def test_a_signal_of_another_unit_is_left_out_and_named(tmp_path: Path) -> None:
    header = "two 2 125 2\ntwo.dat 16 100(0)/cmH2O 16 0 0 0 0 ABP\ntwo.dat 16 1000(0)/mV 16 0 0 0 0 II\n"
    write(tmp_path / "two.hea", header)
    (tmp_path / "two.dat").write_bytes(bytes(8))
    recording = read(tmp_path / "two")
    assert (sorted(recording.waves), recording.skipped) == (["ecg_ii"], ("ABP",))


def wave_recording(seconds: float, rate_hz: int = 125) -> Recording:
    samples = round(seconds * rate_hz)
    return Recording("w", seconds, rate_hz, {"ecg_ii": np.arange(samples) / 1000}, {}, ())


def test_blocks_hold_every_sample_once_and_are_valid_fhir() -> None:
    got = []
    for lap in (0, 1):
        for due_s, body in blocks(wave_recording(3.504), "ward/bed-1", 2.0, lap):
            Observation.model_validate(json.loads(body))
            _, row = observation_to_block(body)
            got.append((due_s, row.first_sample, len(row.waves["ecg_ii"]) // 2))
    assert got[:4] == [(0.0, 0, 125), (0.5, 125, 125), (1.0, 250, 125), (1.5, 375, 63)]
    assert [first for _, first, _ in got[4:]] == [500, 625, 750, 875]


def test_fast_trends_leave_seconds_out_and_fast_waves_are_refused() -> None:
    trend = Recording("t", 7200.0, 0, {}, {"hr": (Trend(np.array([0.0]), np.array([60.0]), 1e9),)}, ())
    due = [due_s for due_s, _ in blocks(trend, "ward/bed-1", 600.0)]
    assert len(due) == 120
    assert np.allclose(np.diff(due), 0.1)
    with pytest.raises(FeedError, match=r"speed is 20, allowed for this recording is 0.1 to 10"):
        next(blocks(wave_recording(2), "ward/bed-1", 20.0))


class Edge(HTTPServer):
    """A little edge that keeps what it gets and answers from a script, then 202."""

    script: list[int]
    got: list[tuple[str, str, dict[str, object]]]


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Edge

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Authorization"], json.loads(body)))
        status = self.server.script.pop(0) if self.server.script else 202
        said = json.dumps({"resourceType": "OperationOutcome", "issue": [{"diagnostics": "no such bed"}]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def edge() -> Iterator[Edge]:
    server = Edge(("127.0.0.1", 0), Answer)
    server.script, server.got = [], []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Turned(ManualClock):
    """Sleeping turns the clock."""

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)


def feed(edge: Edge, path: Path, **options: object) -> Turned:
    clock = Turned()
    url = f"http://127.0.0.1:{edge.server_port}"
    run(url, "ward/bed-1", "secret", path, clock=clock, sleep=clock.sleep, **options)  # type: ignore[arg-type]
    return clock


TREND = "time_s,hr\n" + "".join(f"{k},{60 + k}\n" for k in range(5))


def test_a_feed_is_paced_and_says_when_it_is_over(edge: Edge, tmp_path: Path) -> None:
    told: list[tuple[float, float]] = []
    clock = feed(edge, write(tmp_path / "t.csv", TREND), speed=2.0, progress=lambda *done: told.append(done))
    assert [path for path, _, _ in edge.got] == ["/fhir/Observation"] * 6
    assert {token for _, token, _ in edge.got} == {"Bearer secret"}
    values = [body["component"][0]["valueQuantity"]["value"] for _, _, body in edge.got[:5]]  # type: ignore[index]
    assert values == [60, 61, 62, 63, 64]
    assert observation_to_block(json.dumps(edge.got[5][2]).encode())[1].end
    assert clock.monotonic_s() - 1e9 == pytest.approx(2.5)
    assert told[-1] == (5.0, 5.0)


def test_a_busy_edge_is_asked_again(edge: Edge, tmp_path: Path) -> None:
    edge.script = [503, 429, 202]
    feed(edge, write(tmp_path / "t.csv", TREND))
    assert len(edge.got) == 8


def test_a_refusal_ends_the_feed_with_what_was_said(edge: Edge, tmp_path: Path) -> None:
    edge.script = [202, 404]
    with pytest.raises(FeedError, match="the edge refused: 404 no such bed"):
        feed(edge, write(tmp_path / "t.csv", TREND))
    assert observation_to_block(json.dumps(edge.got[-1][2]).encode())[1].end


def test_a_loop_goes_on_until_it_is_interrupted_and_then_says_the_end(edge: Edge, tmp_path: Path) -> None:
    def stop(done_s: float, total_s: float) -> None:
        if len(edge.got) == 12:
            raise KeyboardInterrupt

    feed(edge, write(tmp_path / "t.csv", TREND), loop=True, progress=stop)
    assert len(edge.got) == 13
    assert observation_to_block(json.dumps(edge.got[-1][2]).encode())[1].end


def test_an_edge_that_is_not_there_is_given_up(tmp_path: Path) -> None:
    clock = Turned()
    path = write(tmp_path / "t.csv", TREND)
    with pytest.raises(FeedError, match="gave up after 10 tries: the edge cannot be reached"):
        run("http://127.0.0.1:9", "ward/bed-1", "t", path, clock=clock, sleep=clock.sleep)
    with pytest.raises(FeedError, match="no address of an edge"):
        run("ftp://x", "ward/bed-1", "t", path)
