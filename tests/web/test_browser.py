"""What people do in their browsers, each in a profile of their own, against the whole server."""

import math
import os
import signal
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
FAULTS = """async () => (await axe.run()).violations.flatMap(
  (rule) => rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 160)}`)).join("\\n")"""
NAME_OF = "(element) => element.ariaLabel || element.textContent.trim() || element.labels?.[0]?.textContent"


def distance(a, b):
    return math.dist((a[0], a[-1]), (b[0], b[-1]))


def test_the_join_page_says_who_is_inside_and_what_is_wrong(visitor):
    inside = visitor("Noor Haddad").enter("carer")
    guest = visitor("Guest").visit("student")
    page = guest.page
    page.get_by_text("Noor Haddad").wait_for()
    assert page.get_by_role("heading", level=1).inner_text() == inside.page.get_by_role("heading", level=1).inner_text()
    assert "student" in page.get_by_text("You come in as").inner_text()
    page.get_by_role("button", name="Enter").click()
    assert "Please give a name" in page.get_by_role("alert").inner_text()


def test_a_link_that_is_not_good_is_told_in_a_sentence(visitor, house):
    guest = visitor("Guest")
    guest.page.goto(f"http://127.0.0.1:{house.edge}/r/lobby#nonsense")
    alert = guest.page.get_by_role("alert")
    alert.filter(has_text="link").wait_for()
    assert guest.said == ["error: Failed to load resource: the server responded with a status of 403 (Forbidden)"]
    guest.said.clear()  # the browser's own line for a refused request


def test_two_people_see_each_other_walk_and_talk(visitor):
    ada, ben = visitor("Ada").enter("clinician"), visitor("Ben").enter("patient")
    ada.until("who('Ben')?.shown")
    before = ada.sees("Ben")["position"]
    x, z = ben.state["position"]
    assert ben.walk(x + 1.5, z - 1.5)
    ada.until("far(who('Ben').position, x) < 0.1", ben.state["position"])
    assert distance(ada.sees("Ben")["position"], before) > 1.2
    ben.page.keyboard.press("t")
    ben.page.keyboard.type("Good morning, doctor")
    ben.page.keyboard.press("Enter")
    ada.until("s.lines.some((line) => line.who === 'Ben' && line.text === 'Good morning, doctor')")
    ada.page.get_by_role("log").get_by_text("Good morning, doctor").wait_for()


def test_keys_walk_point_and_raise_a_hand(visitor):
    ada, ben = visitor("Ada").enter("clinician"), visitor("Ben").enter("patient")
    start = ben.state["position"]
    ben.page.locator("#world").focus()
    ben.page.keyboard.down("w")
    ben.until("far(s.position, x) > 0.8", start)
    ben.page.keyboard.up("w")
    ben.page.keyboard.press("r")
    ada.until("(who('Ben').flags & 2) === 2")
    ben.page.keyboard.press("f")
    ada.until("(who('Ben').flags & 8) === 8")


def test_a_thing_is_taken_offered_and_handed_over(visitor):
    ada, ben = visitor("Ada").enter("clinician"), visitor("Ben").enter("patient")
    ada.panel("Places")
    ada.page.get_by_role("button", name="Take the Model heart").click()
    held_by = "thing('Model heart').owner === who(x).slot"
    ada.until(held_by, "Ada")
    ben.until(held_by, "Ada")
    ben.panel("People")
    ben.page.get_by_role("button", name="Go to Ada").click()
    ben.until("who('Ada').shown && far(who('Ada').position, s.position) < 1.2")
    ada.page.get_by_role("button", name="Offer the Model heart").click()
    ben.panel("Places")
    ben.page.get_by_role("button", name="Take the Model heart from Ada").click()
    ada.until(held_by, "Ben")
    ben.page.get_by_role("button", name="Put down the Model heart").click()
    ada.until("thing('Model heart').owner === -1")


def test_who_sits_stays_until_they_stand(visitor):
    ben = visitor("Ben").enter("patient")
    ben.panel("Places")
    ben.page.get_by_role("button", name="Sit on seat 1").click()
    ben.until("s.seated")
    seat = ben.state["position"]
    ben.page.locator("#world").focus()
    ben.page.keyboard.press("w", delay=400)
    assert distance(ben.state["position"], seat) < 0.05
    ben.page.get_by_role("button", name="Stand up").click()
    ben.until("!s.seated")


def test_an_order_is_recorded_and_its_receipt_verified_in_the_page(visitor):
    ada = visitor("Ada").enter("clinician")
    ada.go_to_ward()
    ada.until("s.beds.length === 4 && s.beds.every((bed) => bed.open && bed.orders && bed.hr !== null)")
    before = ada.state["beds"][2]["newestSample"]
    ada.until("s.beds[2].newestSample > x + 250", before)
    assert {1, 3, 4, 5} <= set(ada.state["beds"][2]["channels"])
    ada.panel("Bedside")
    ada.page.get_by_role("button", name="Bed bed-3").click()
    assert "simulated, not for diagnosis" in ada.page.get_by_label("Bedside monitor").inner_text()
    ada.panel("Orders")
    ada.page.get_by_label("Order", exact=True).select_option("norepinephrine")
    ada.page.get_by_label("Rate (0 stops it)").fill("0.12")
    ada.page.get_by_role("button", name="Sign and order").click()
    ada.page.get_by_text("verified in your browser").wait_for()
    receipt = ada.state["receipts"][0]
    assert receipt["stage"] == "verified"
    words = ada.page.get_by_label("Your orders", exact=True).inner_text()
    assert f"recorded, entry {receipt['index']}, verified in your browser" in words
    ada.until("s.beds[2].running.some((text) => text.includes('norepinephrine'))")
    ada.page.get_by_label("Rate (0 stops it)").fill("9")
    ada.page.get_by_role("button", name="Sign and order").click()
    assert "allowed is 0 to 3" in ada.page.locator(".order .fault").inner_text()
    assert len(ada.state["receipts"]) == 1


def test_a_receipt_of_a_log_with_another_key_is_not_believed(visitor):
    ada = visitor("Ada").enter("clinician")
    ada.context.route("**/log/vkey", lambda route: route.fulfill(body="localhost/asclepion+00000000+AAAA"))
    ada.go_to_ward()
    ada.until("s.beds.length === 4 && s.beds.every((bed) => bed.orders)")
    ada.panel("Orders")
    ada.page.get_by_role("button", name="Sign and order").click()
    ada.page.get_by_text("not verified:").wait_for()
    assert ada.state["receipts"][0]["stage"] == "not-verified"


def test_a_student_sees_the_monitor_but_may_not_order(visitor):
    sam = visitor("Sam").enter("student")
    sam.go_to_ward()
    sam.until("s.beds.length === 4 && s.beds.every((bed) => bed.open && bed.hr !== null && !bed.orders)")
    sam.panel("Orders")
    sam.page.get_by_text("Your role cannot order here").wait_for()
    assert sam.page.get_by_role("button", name="Sign and order").count() == 0


def test_who_waits_is_let_in_by_who_is_inside(visitor):
    ada, ben = visitor("Ada").enter("clinician"), visitor("Ben").enter("patient")
    for each in (ada, ben):
        each.panel("Places")
        each.page.get_by_role("button", name="Go to Consult").click()
    ada.until("s.room === 'consult'")
    ben.page.get_by_text("You wait to be let into Consult").wait_for()
    ada.panel("People")
    ada.page.get_by_role("button", name="Admit Ben").click()
    ben.until("s.room === 'consult' && who('Ada')?.shown")
    ada.until("who('Ben')?.shown && s.waiting.length === 0")


def test_an_invite_made_in_the_room_opens_it(visitor, house):
    ada = visitor("Ada").enter("clinician")
    ada.panel("People")
    ada.page.get_by_label("Role of the invited").select_option("carer")
    ada.page.get_by_role("button", name="Make an invite link").click()
    field = ada.page.get_by_label("Invite link for a carer")
    house.links["invited"] = field.input_value()
    cleo = visitor("Cleo").enter("invited")
    assert (cleo.state["room"], cleo.state["role"]) == ("lobby", "carer")


def test_a_clinician_mutes_and_removes(visitor):
    ada, ben = visitor("Ada").enter("clinician"), visitor("Ben").enter("patient")
    ada.panel("People")
    ada.page.get_by_role("button", name="Mute Ben").click()
    ada.until("who('Ben').muted")
    ben.page.get_by_label("Say something to the room").fill("can you hear me")
    ben.page.get_by_role("button", name="Send").click()
    ben.page.locator(".toast.fault").first.wait_for()
    ada.page.get_by_role("button", name="Remove Ben").click()
    ben.page.get_by_role("alert").filter(has_text="removed").wait_for()
    ada.until("!who('Ben')")


def test_orders_go_on_after_the_ledger_crashed(visitor, house):
    ada = visitor("Ada").enter("clinician")
    ada.go_to_ward()
    ada.until("s.beds.length === 4 && s.beds.every((bed) => bed.orders)")
    ada.panel("Orders")
    for crash in (False, True):
        if crash:
            os.kill(house.part("ledger"), signal.SIGKILL)
        ada.page.get_by_role("button", name="Sign and order").click()
        ada.until("['verified', 'refused', 'not-verified'].includes(s.receipts[0].stage)")
    ada.page.get_by_text("ledger recording").wait_for()
    ada.page.get_by_role("button", name="Sign and order").click()
    ada.until("s.receipts[0].stage === 'verified'")
    stages = [receipt["stage"] for receipt in ada.state["receipts"]]
    assert stages[2] == "verified"
    assert stages[1] in ("verified", "refused")


@pytest.mark.parametrize("part", ["edge", "shard"])
def test_who_was_there_is_there_again_after_a_crash(visitor, house, part):
    ada = visitor("Ada").enter("clinician")
    ada.panel("Places")
    ada.page.get_by_role("button", name="Take the Pen").click()
    ada.until("thing('Pen').owner >= 0")
    x, z = ada.stand_still()
    tick = ada.state["tick"]
    os.kill(house.part(part), signal.SIGKILL)
    ada.page.get_by_text("Reconnecting").wait_for()
    ada.until("s.session === 'active' && s.resumed && s.tick > x && s.people.some((p) => p.shown)", tick)
    assert distance(ada.state["position"], (x, z)) < 0.2
    ada.until("thing('Pen').owner === who('Ada').slot")
    ada.page.get_by_role("button", name="Put down the Pen").click()
    ada.until("thing('Pen').owner === -1")
    ada.said[:] = [line for line in ada.said if "WebSocket" not in line]  # the browser's own word on a lost connection


def test_a_reload_finds_the_same_seat(visitor):
    ada = visitor("Ada").enter("clinician")
    x, z = ada.state["position"]
    assert ada.walk(x - 1, z - 1)
    there = ada.state["position"]
    ada.page.reload()
    ada.until("s.session === 'active' && s.resumed && s.people.some((p) => p.shown)")
    assert distance(ada.state["position"], there) < 0.3


def test_another_link_in_the_same_tab_takes_the_place_of_the_first(visitor):
    ada = visitor("Ada").enter("clinician")
    ada.enter("observer")
    assert ada.state["role"] == "observer"
    assert [person["name"] for person in ada.state["people"]] == ["Ada"]


def test_two_tabs_of_one_browser_are_two_people(visitor):
    ada = visitor("Ada").enter("clinician")
    ben = visitor("Ben", ada.context).enter("patient")
    ben.until("who('Ada')?.shown")
    ada.page.bring_to_front()
    ada.until("who('Ben')?.shown && s.role === 'clinician'")


def test_a_recorded_patient_is_played_into_the_bed(visitor, house):
    ada = visitor("Ada").enter("clinician")
    ada.go_to_ward()
    ada.until("s.beds.every((bed) => bed.open && bed.source === 'model')")
    with house.feed("ward/bed-2"):
        ada.until("s.beds[1].source.startsWith('device: ') && s.beds[1].hr > 40 && s.beds[1].sap > 80")
        ada.panel("Bedside")
        ada.page.get_by_role("button", name="Bed bed-2").click()
        ada.page.get_by_text("device: demo").first.wait_for()
        assert [bed["source"] for bed in ada.state["beds"]].count("model") == 3
    ada.until("s.beds[1].source === 'model'")


def test_axe_finds_nothing_on_any_panel(visitor):
    axe = (ROOT / "clients/web/node_modules/axe-core/axe.min.js").read_text()
    ada = visitor("Ada").visit("clinician")
    ada.page.get_by_text("You come in as").wait_for()
    ada.page.evaluate(axe)
    assert ada.page.evaluate(FAULTS) == ""
    ada.enter("clinician")
    ada.go_to_ward()
    ada.until("s.beds.every((bed) => bed.open)")
    ada.page.evaluate(axe)
    for panel in ("People", "Bedside", "Orders", "Places"):
        ada.panel(panel)
        assert ada.page.evaluate(FAULTS) == "", panel
    ada.page.get_by_role("button", name="2D view").click()
    assert ada.page.evaluate(FAULTS) == ""


def test_the_2d_view_does_it_all_by_keyboard(visitor):
    ada = visitor("Ada").enter("clinician")
    ada.page.get_by_role("button", name="2D view").press("Enter")
    assert not ada.page.locator("#world").is_visible()
    ada.page.get_by_role("button", name="Go to Ward").press("Enter")
    ada.until("s.room === 'ward'")
    ada.page.get_by_role("button", name="Go to Clara Sommer").press("Enter")
    ada.page.get_by_role("button", name="Bed bed-3").and_(ada.page.locator("[aria-pressed=true]")).wait_for()
    ada.until("s.beds.every((bed) => bed.open)")
    for name in ("Bedside monitor", "Orders", "People", "Places and things", "Chat"):
        assert ada.page.get_by_role("region", name=name).is_visible(), name
    for control in ada.page.locator("button:visible, input:visible, select:visible").all():
        assert control.evaluate(NAME_OF), control.evaluate("(element) => element.outerHTML")
    ada.page.get_by_role("button", name="3D view").press("Enter")
    assert ada.page.locator("#world").is_visible()
