"""A real house on loopback for the overload stories: ledger, shard and edge as processes, and crowds in front of them.

OVERLOAD_SIZE=500 sets how many come back at once (and the other numbers in proportion); the default is small.
"""

import os
import re
import time
from urllib.request import urlopen

import pytest
from crowd import Crowd

from tools.access import Pass
from tools.lines import NativeLines
from tools.lines_web import WebLines
from tools.swarm_house import House, prime, read_stats
from tools.swarm_rooms import RoomPlan, room_slug, write_rooms
from tools.swarm_run import free_port

SIZE = int(os.environ.get("OVERLOAD_SIZE", "100"))
ROOMS, ROOM_OF = 1 + SIZE // 20, 20
WAIT_S = 60.0
SETTINGS = {
    "demo": "false",
    "checkpoint_every_s": "5",
    "limits.outbound_bytes_max": "40000",
    "limits.idle_timeout_s": "30",
}


class Site:
    """The house, its addresses, and the crowds that are turned while one waits."""

    def __init__(self, folder):
        plans = [RoomPlan(room_slug(index), "ward", 3 * ROOM_OF, 0) for index in range(ROOMS)]
        write_rooms(folder / "rooms", plans)
        self.rooms = [plan.slug for plan in plans]
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        edge, admin = free_port(), free_port()
        self.url, self.admin = f"http://127.0.0.1:{edge}", f"http://127.0.0.1:{admin}"
        settings = {**SETTINGS, "native": self.endpoint, "edge_port": str(edge), "admin_port": str(admin)}
        settings["rooms"] = str(folder / "rooms")
        self.house = House(folder / "data", settings, ("ledger", "shard", "edge"))
        self.crowds, self.before = [], {}

    def open(self):
        self.house.wait_ready(lambda _: None)
        self.keys = Pass(self.house.data)

    @property
    def figures(self):
        """The shard's figures of the last second."""
        return read_stats(self.house.data)

    def natives(self, count, name="native", endpoint=""):
        """A crowd of native clients, spread over the rooms; inside."""
        return self._crowd(NativeLines(endpoint or self.endpoint, self.keys.server_key, count), count, name)

    def browsers(self, count, name="browser", url=""):
        """A crowd of browsers, spread over the rooms; inside."""
        return self._crowd(WebLines(f"{(url or self.url).replace('http', 'ws', 1)}/ws", count), count, name)

    def _crowd(self, lines, count, name):
        rooms = [self.rooms[number // ROOM_OF % len(self.rooms)] for number in range(count)]
        crowd = Crowd(lines, self.keys.mint, rooms, name)
        self.crowds.append(crowd)
        self.until(lambda: crowd.inside == count, f"{count} of {name} are inside")
        return crowd

    def turn(self):
        now_s = time.monotonic()
        for crowd in self.crowds:
            crowd.turn(now_s)

    def until(self, condition, what):
        """Turn the crowds until it is so; the limit is generous."""
        deadline_s = time.monotonic() + WAIT_S
        while not condition():
            self.house.check()
            assert time.monotonic() < deadline_s, f"not within {WAIT_S:g} s: {what}; {self.told()}"
            self.turn()

    def pass_ticks(self, count, bot, also=lambda: None):
        """Turn the crowds until `bot` was shown so many more ticks; the first and the last of them."""
        self.until(lambda: bot.ticks, "a first snapshot came")
        first = bot.ticks[-1]

        def enough():
            also()
            return bot.ticks[-1] >= first + count

        self.until(enough, f"{count} ticks have passed")
        return first, bot.ticks[-1]

    def told(self):
        byes = [dict(crowd.byes) for crowd in self.crowds]
        return f"inside {[crowd.inside for crowd in self.crowds]}, byes {byes}"

    def mark(self):
        """From here on `grown` counts; waits for a fresh second of figures."""
        self.fresh()
        self.before = self.figures

    def fresh(self):
        """Until the figures tell of now."""
        tick = self.figures.get("tick", 0)
        self.until(lambda: self.figures.get("tick", 0) > tick + 1, "figures of a later second")

    def grown(self, name):
        return self.figures.get(name, 0) - self.before.get(name, 0)

    def edge_metric(self, name):
        """A counter of the edge, as an operator sees it."""
        with urlopen(f"{self.admin}/metrics", timeout=20) as answer:
            found = re.search(rf"^asclepion_\w*{name}(?:_total)? ([0-9.e+]+)$", answer.read().decode(), re.MULTILINE)
        assert found is not None, f"the edge has no metric {name}"
        return float(found[1])

    def report(self, story):
        """Print how the tick fared since `mark`."""
        self.fresh()
        names = ("ticks_total", "ticks_over_budget_total", "ticks_thinned_total", "schedule_slips_total")
        said = ", ".join(f"{name.removesuffix('_total')} {self.grown(name):g}" for name in names)
        f = self.figures
        print(f"\n{story}: {said}; tick p50 {f['tick_ms_p50']:.1f} ms, p99 {f['tick_ms_p99']:.1f} ms")
        assert self.grown("ticks_total") > 0 and f["tick"] > self.before["tick"], "the tick goes on"
        allowed = 2 + self.grown("ticks_total") / 30  # a loaded machine stands still for half a second now and then
        assert self.grown("schedule_slips_total") <= allowed, "the schedule holds"

    def dismiss(self):
        """Everybody goes home."""
        for crowd in self.crowds:
            for bot in crowd.bots:
                if bot.state == "in":
                    crowd.leave(bot)
            crowd.lines.poll(0.05)
            crowd.lines.close()
        self.crowds.clear()
        self.until(lambda: self.figures.get("clients", 1) == 0, "everybody has gone home")


@pytest.fixture(scope="session")
def whole_site(tmp_path_factory):
    prime(lambda _: None)
    made = Site(tmp_path_factory.mktemp("overload"))
    with made.house:
        made.open()
        yield made
        for crowd in made.crowds:
            crowd.lines.close()


@pytest.fixture
def site(whole_site):
    yield whole_site
    whole_site.dismiss()
