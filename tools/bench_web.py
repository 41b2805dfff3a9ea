"""`python -m tools.bench_web`: what a frame of a full hall costs in a browser's script, in a headless Chromium.

Owns the run and its table. Script time of the page only: a software renderer draws in another process. The rows are
made up, all between them and the graphics calls is the client's own (clients/web/bench). Never fails for slowness.
"""

import functools
import http.server
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cyclopts import App
from playwright.sync_api import CDPSession, Page, sync_playwright
from rich.console import Console
from rich.table import Table

import hatch_build
from tools.swarm_report import machine

ROOT = Path(__file__).parents[1]
HALLS = ((64, 64), (300, 60), (1000, 100))  # people, of them near
FRAMES, WARM = 360, 60
PARTS = ("push", "sample", "scene", "render")  # of a frame
ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--no-first-run", "--disable-background-networking",
             "--disable-frame-rate-limit", "--disable-gpu-vsync"]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

app = App(name="tools.bench_web", help=__doc__)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing to say of a request."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder on loopback."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def at(values: list[float], share: float) -> float:
    """The value at a share of the sorted ones."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measure(address: str, chromium: str) -> list[tuple[int, dict[str, Any]]]:
    """What each hall cost."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 320, "height": 180})
        page.set_default_timeout(300_000)
        page.goto(address)
        page.wait_for_function("() => window.measure !== undefined")
        found = [(people, hall(page, people, near)) for people, near in HALLS]
        browser.close()
    return found


def hall(page: Page, people: int, near: int) -> dict[str, Any]:
    """What one hall cost; `cpu` is the page's own thread time per frame, ms, whoever else had the core."""
    page.evaluate("([people, near, frames]) => window.prepare(people, near, frames)", [people, near, FRAMES])
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = busy_s(session)
    row: dict[str, Any] = page.evaluate("([frames, warm]) => window.measure(frames, warm)", [FRAMES, WARM])
    row["cpu"] = (busy_s(session) - before) / FRAMES * 1e3
    session.detach()
    return row


def busy_s(session: CDPSession) -> float:
    """Thread seconds the page has spent on anything."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(metric["value"]) for metric in metrics if metric["name"] == "TaskDuration")


def report(found: list[tuple[int, dict[str, Any]]]) -> Table:
    """Median and 99th percentile, ms: a tick taken in, people between two ticks, the scene, the renderer's calls.

    Those are by the clock on the wall and grow with what else runs on the machine; the mean thread time does not.
    """
    table = Table(title="Script time of a frame in a hall, ms (median / 99th percentile)")
    for name in ("people", "with hands", "tick", "between", "scene", "renderer", "frame", "CPU", "calls"):
        table.add_column(name, justify="right")
    for people, row in found:
        ticks = [value for value in row["push"] if value > 0]
        whole = [sum(parts) for parts in zip(*(row[key] for key in PARTS), strict=True)]
        cells = [f"{at(v, 0.5):.2f} / {at(v, 0.99):.2f}" for v in (ticks, *(row[key] for key in PARTS[1:]), whole)]
        table.add_row(str(people), str(row["drawn"][0]), *cells, f"{row['cpu']:.2f}", str(row["calls"]))
    return table


@app.default
def main() -> int:
    """Build the bench page, run it, print the table."""
    chromium = next((path for name in NAMES if (path := shutil.which(name))), None)
    if chromium is None:
        print("bench_web: there is no Chromium here", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        web = ROOT / hatch_build.WEB
        hatch_build.install_packages(web)
        hatch_build.run_npm(web, "exec", "--", "vite", "build", "bench", "--config", "vite.config.ts",
                            "--outDir", folder, "--emptyOutDir", "--base", "./")  # fmt: skip
        with served(Path(folder)) as address:
            found = measure(address, chromium)
    console = Console()
    console.print(report(found))
    console.print(", ".join(f"{key} {value}" for key, value in machine().items()))
    return 0


if __name__ == "__main__":
    sys.exit(app())
