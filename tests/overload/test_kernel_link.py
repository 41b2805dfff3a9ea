"""The kernel's own faulty wire between a shard and its clients: bandwidth by tbf, loss by nft. Skipped without them."""

import time

import pytest
from crowd import Crowd

from tools.access import Pass
from tools.lines import NativeLines
from tools.link_kernel import KernelLink, NoKernelLink
from tools.swarm_house import House
from tools.swarm_rooms import RoomPlan, write_rooms

pytestmark = pytest.mark.slow
COUNT, WAIT_S, WINDOW = 8, 60.0, 60


@pytest.fixture(scope="module")
def link():
    try:
        made = KernelLink()
    except NoKernelLink as missing:
        pytest.skip(str(missing))
    with made:
        yield made


@pytest.fixture(scope="module")
def crowd(link, tmp_path_factory):
    """A few clients outside of the shard's namespace, in its one room."""
    folder = tmp_path_factory.mktemp("kernel")
    write_rooms(folder / "rooms", [RoomPlan("ward", "ward", 2 * COUNT, 0)])
    endpoint = f"tcp://{link.inside}:7600"
    settings = {"native": endpoint, "rooms": str(folder / "rooms"), "demo": "false"}
    with House(folder / "data", settings, enter=link.enter) as house:
        house.wait_ready(lambda _: None)
        keys = Pass(folder / "data")
        lines = NativeLines(endpoint, keys.server_key, COUNT)
        made = Crowd(lines, keys.mint, ["ward"] * COUNT, "far")
        yield made
        lines.close()


def until(crowd, condition, what):
    deadline_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {WAIT_S:g} s: {what}; {dict(crowd.byes)}"
        crowd.turn(time.monotonic())


def share(crowd, ticks):
    """Of the newest ticks that all could have been shown, the share that was."""
    last = min(bot.ticks[-1] for bot in crowd.bots)
    return sum(len([t for t in bot.ticks if last - ticks < t <= last]) for bot in crowd.bots) / (COUNT * ticks)


def pass_ticks(crowd):
    first = max(bot.ticks[-1] for bot in crowd.bots)
    until(crowd, lambda: min(bot.ticks[-1] for bot in crowd.bots) >= first + WINDOW, "everybody is shown later ticks")


@pytest.mark.parametrize("fault", ["bandwidth", "loss"])
def test_on_a_bad_wire_everybody_stays_in_order_and_is_well_again_after_it(link, crowd, fault):
    link.heal()
    until(crowd, lambda: crowd.inside == COUNT and all(bot.ticks for bot in crowd.bots), "all are inside")
    try:
        if fault == "bandwidth":
            link.slow_down(300)
        else:
            link.lose(20)
    except NoKernelLink as missing:
        pytest.skip(str(missing))
    pass_ticks(crowd)
    during, lost = share(crowd, WINDOW), link.lost() if fault == "loss" else 0
    link.heal()
    pass_ticks(crowd)
    until(crowd, lambda: share(crowd, WINDOW) >= 0.9, "everybody is shown nearly every tick again")
    print(
        f"\n{fault}: {during:.0%} of the ticks shown during it, {share(crowd, WINDOW):.0%} after; {lost} lost packets"
    )
    assert crowd.inside == COUNT and not crowd.byes
    assert all(bot.ticks == sorted(set(bot.ticks)) for bot in crowd.bots)
    assert lost > 0 or fault == "bandwidth"
