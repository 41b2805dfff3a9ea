"""A hall for more people than one sees in full: heads only from afar, hands when one meets, and what one points at."""

import math

import pytest

from tests.web.conftest import running

pytestmark = pytest.mark.browser
HALL = """
title = "Great hall"
kind = "lobby"
size_m = [20.0, 4.0, 8.0]
capacity = 200
enter = ["clinician", "student"]
speak = ["clinician", "student"]
spawn = [{ at = [-4.0, 2.0], facing_deg = 270 }, { at = [6.0, 2.0], facing_deg = 90 }]
"""
# Looks at one person in every frame: frames in which they were not drawn, and the longest way between two frames.
WATCH = """(name) => {
  window.watched = { frames: 0, missing: 0, longest: 0 };
  let before = null;
  const look = (nowMs) => {
    const { shown, position } = window.asclepion.state().people.find((each) => each.name === name);
    window.watched.frames += 1;
    window.watched.missing += shown ? 0 : 1;
    if (before !== null && nowMs - before.ms < 50) {
      window.watched.longest = Math.max(window.watched.longest, Math.abs(position[0] - before.x));
    }
    before = { ms: nowMs, x: position[0] };
    window.watching = requestAnimationFrame(look);
  };
  look(performance.now());
}"""
WATCHED = "() => { cancelAnimationFrame(window.watching); return window.watched; }"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A server with one hall of four cells along its length: two people come in three cells apart."""
    folder = tmp_path_factory.mktemp("hall")
    (folder / "rooms").mkdir()
    (folder / "rooms/lobby.toml").write_text(HALL)
    with running(folder / "data", "--rooms", str(folder / "rooms")) as house:
        yield house


def test_who_is_far_is_a_head_and_has_hands_when_one_meets(visitor):
    ada, ben = visitor("Ada").enter("clinician"), visitor("Ben").enter("student")
    for one, other in ((ada, "Ben"), (ben, "Ada")):
        one.until("who(x).shown && !who(x).near && who(x).hands === null && s.network.far === 1", other)
    assert math.dist(ada.sees("Ben")["position"][::2], ben.state["position"]) < 0.02  # within 8 mm on each axis
    ada.page.evaluate(WATCH, "Ben")
    ben.panel("People")
    ben.page.get_by_role("button", name="Go to Ada").click()
    ben.until("far(who('Ada').position, s.position) < 1.2")
    for one, other in ((ada, "Ben"), (ben, "Ada")):
        one.until("who(x).near && who(x).hands !== null && s.network.near === 2", other)
    ada.until("far(who('Ben').position, x) < 0.1", ben.state["position"])
    watched = ada.page.evaluate(WATCHED)
    assert watched["frames"] > 20 and watched["missing"] == 0, watched
    assert watched["longest"] < 0.45, watched
    ben.page.locator("#world").focus()
    ben.page.keyboard.press("f")
    ada.page.get_by_text("Ben points at you.").wait_for()
    ada.panel("Network")
    figures = ada.page.get_by_label("Network", exact=True)
    figures.get_by_text("People near, with hands").wait_for()
    assert ada.state["network"]["traffic"]["snapshotsPerS"] > 5
