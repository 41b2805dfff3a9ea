"""A whole server started by its command, and browsers before it: real processes, real sockets, real Chromium."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from server.edge.static import ClientError, client_folder
from tests import chromium

ROOT = Path(__file__).parents[2]
ARGUMENTS = [
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEW = {"width": 560, "height": 360}
READY = "() => window.asclepion?.state().people.some((person) => person.shown) ?? false"
WAIT_MS = 30_000
WORDS = """
const s = window.asclepion?.state();
const who = (name) => s.people.find((person) => person.name === name);
const thing = (name) => s.things.find((thing) => thing.name === name);
const far = (a, b) => Math.hypot(a[0] - b[0], a.at(-1) - b.at(-1));
"""
LINK = re.compile(r"^  (\w+)\s+(http://\S+/r/\S+)$", re.MULTILINE)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class House:
    """`asclepion serve` with `more` words, and the links it printed, by role."""

    def __init__(self, data: Path, *more: str) -> None:
        self.data = data
        self.edge, self.admin, native = free_port(), free_port(), free_port()
        ports = [
            "--edge-port",
            str(self.edge),
            "--admin-port",
            str(self.admin),
            "--native",
            f"tcp://127.0.0.1:{native}",
        ]
        words = [sys.executable, "-m", "server", "serve", "--data", str(data), *ports, "--demo-bots", "0", *more]
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = ""
        self.links: dict[str, str] = {}

    def start(self) -> None:
        """Wait until it is up and has told its links."""
        self.read_until("ready after")
        self.links = dict(LINK.findall(self.said))

    def read_until(self, words: str) -> None:
        """Wait for a line of the server's output."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if words in line:
                return
        raise AssertionError(f"the server ended without saying {words!r}:\n{self.said}")

    def part(self, name: str) -> int:
        """Process id of the shard, edge or ledger."""
        words = ["pgrep", "-P", str(self.process.pid), "-f", f"server {name}"]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    @contextlib.contextmanager
    def feed(self, bed: str) -> Iterator[None]:
        """The demonstration recording plays into a bed; Ctrl-C ends it."""
        words = [sys.executable, "-m", "server", "feed", "--bed", bed, "--data", str(self.data)]
        with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            try:
                yield
            finally:
                process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0

    def close(self) -> None:
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Visitor:
    """Somebody with a browser profile of their own. `said` is all the page wrote to its console."""

    def __init__(self, browser: Browser, house: House, name: str, context: BrowserContext | None = None) -> None:
        self.name, self.house = name, house
        self.context = context or browser.new_context(viewport=VIEW)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.set_default_timeout(WAIT_MS)

    def _heard(self, message: ConsoleMessage) -> None:
        if "GPU stall due to ReadPixels" not in message.text:  # the software renderer's word on screenshots
            self.said.append(f"{message.type}: {message.text}")

    def visit(self, role: str) -> "Visitor":
        """Open the role's link."""
        address, _, code = self.house.links[role].partition("#")
        self.page.goto(f"{address}?quality=low#{code}")
        return self

    def enter(self, role: str) -> "Visitor":
        """Open the role's link, give a name, go in."""
        self.visit(role)
        self.page.get_by_label("Your name").fill(self.name)
        self.page.get_by_role("button", name="Enter").click()
        self.page.wait_for_function(READY)
        return self

    @property
    def state(self) -> dict[str, Any]:
        """What `window.asclepion` shows."""
        state: dict[str, Any] = self.page.evaluate("() => window.asclepion.state()")
        return state

    def until(self, condition: str, what: Any = None) -> None:
        """Wait for a JavaScript condition over the state `s`, the value `x`, and the words of `WORDS`."""
        self.page.wait_for_function(f"(x) => {{ {WORDS} return s && ({condition}); }}", arg=what)

    def walk(self, x: float, z: float) -> bool:
        """Walk to a place of the room."""
        arrived: bool = self.page.evaluate("([x, z]) => window.asclepion.walkTo(x, z)", [x, z])
        return arrived

    def stand_still(self) -> tuple[float, float]:
        """Where one stands, once half a second has moved one no further."""
        while True:
            before = self.state
            self.until("s.tick > x", before["tick"] + 15)
            if self.state["position"] == before["position"]:
                x, z = before["position"]
                return x, z

    def sees(self, name: str) -> dict[str, Any]:
        """A person as this page shows them."""
        person: dict[str, Any] = next(person for person in self.state["people"] if person["name"] == name)
        return person

    def panel(self, name: str) -> None:
        """Open a panel of the drawer."""
        tab = self.page.get_by_role("navigation", name="Panels").get_by_role("button", name=name, exact=True)
        if tab.get_attribute("aria-pressed") == "false":
            tab.click()

    def go_to_ward(self) -> None:
        """Through the door to the ward, by its button, until every monitor is open."""
        self.panel("Places")
        self.page.get_by_role("button", name="Go to Ward").click()
        self.until("s.room === 'ward' && s.people.some((person) => person.shown)")


@contextlib.contextmanager
def running(data: Path, *more: str) -> Iterator[House]:
    """A server until the end of the block; skips where the client is not built."""
    try:
        client_folder()
    except ClientError as error:
        pytest.skip(str(error))
    house = House(data, *more)
    try:
        house.start()
        yield house
    finally:
        house.close()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for the stories of a file."""
    with running(tmp_path_factory.mktemp("house") / "data") as house:
        yield house


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium, headless."""
    path = chromium.find()
    if path is None:
        pytest.skip(f"there is no Chromium; {chromium.HINT}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def visitor(browser: Browser, house: House) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors. Each leaves at the end, and none may have been complained about on the console."""
    visitors: list[Visitor] = []

    def make(name: str, context: BrowserContext | None = None) -> Visitor:
        """With a `context`: in another tab of that profile."""
        visitors.append(Visitor(browser, house, name, context))
        return visitors[-1]

    yield make
    for each in visitors:
        leave = each.page.get_by_role("banner").get_by_role("button", name="Leave")
        if leave.count():
            leave.click()
    for each in visitors:
        each.context.close()
    assert [line for each in visitors for line in each.said] == []
