"""Beds: nobody sees a patient before the access is recorded, nothing is given before the order is."""

from hashlib import sha256

import pytest
from world_story import CLINIC, Stage, bodies, house, refusals

from server.config import Limits
from server.twin.orders import Order, to_fhir
from server.world.commands import (
    AccessRecorded,
    AckAlarm,
    Command,
    Detach,
    DeviceBlock,
    EnrolSigned,
    Go,
    Leave,
    Moderate,
    OrderSigned,
    Recorded,
    Resume,
    Unrecorded,
)
from server.world.events import (
    BedAccess,
    BedVitals,
    Care,
    Enrolled,
    OrderState,
    Refused,
    RoomEntered,
    ToAccess,
    ToRecord,
    WaveFrame,
)


@pytest.fixture
def stage():
    stage = Stage(house(beds=True))
    stage.join(1, "clinician", "clinic")
    return stage


def content(stage, text="oxygen", amount=40.0, patient=None):
    return to_fhir(Order(text, amount), (patient or stage.world.patient_of(0)).hex())


def order(stage, client=1, body=None, bed=0, leaf=b"leaf", **more):
    fields = {"leaf": sha256(leaf).digest(), "entry": b"entry", "blob": b"blob", "wrapped_key": b"key"}
    text = content(stage) if body is None else body
    fields |= {"seq": 9, "bed": bed, "content": text} | more
    return stage.step(Command(client, 9, OrderSigned(**fields)))


def seen(events):
    return [event.body for event in events if event.audience == ("bed", 0)]


# --- viewing ---------------------------------------------------------------------------------------------------------


def test_a_monitor_opens_with_the_recorded_access_and_not_a_tick_before(stage):
    patient = stage.world.patient_of(0)
    assert stage.wanted() == [ToAccess(1, 0, patient)] and stage.world.viewers(0) == []
    assert seen(stage.wait(40)) == []
    events = stage.step(Command(0, 0, AccessRecorded(1, 0, 77)))
    assert bodies(events, BedAccess, 1) == [BedAccess(0, 77, patient, True)]
    assert stage.world.viewers(0) == [1]
    shown = seen(stage.wait(40))
    assert any(isinstance(body, BedVitals) for body in shown) and any(isinstance(body, WaveFrame) for body in shown)
    vitals = [body for body in shown if isinstance(body, BedVitals)][-1]
    assert vitals.bed == 0 and vitals.source == "model" and isinstance(vitals.alarms, list)


def test_an_unanswered_access_is_asked_again_until_it_is_answered(stage):
    asked = [number for number in range(1, 200) if bodies(stage.step(), ToAccess)]
    assert asked == [90, 180]
    stage.grant(1)
    assert bodies(stage.wait(100), ToAccess) == []


def test_access_is_asked_for_those_only_who_may_see(stage):
    stage.join(2, "student", "clinic")
    assert [(want.client, want.bed) for want in stage.wanted()] == [(2, 0)]
    stage.join(3, "patient", "clinic")
    assert stage.wanted() == []
    events = stage.step(Command(0, 0, AccessRecorded(2, 0, 5)))
    assert bodies(events, BedAccess, 2)[0].orders is False
    stage.step(Command(0, 0, AccessRecorded(3, 0, 6)), Command(0, 0, AccessRecorded(99, 0, 7)))
    assert stage.world.viewers(0) == [2], "an answer nobody asked for opens nothing"


@pytest.mark.parametrize("way", ["door", "leave", "remove"])
def test_viewing_ends_in_the_tick_one_leaves(stage, way):
    stage.join(2, "clinician", "clinic")
    stage.grant(1, 2)
    assert stage.world.viewers(0) == [1, 2]
    stage.go_to(2, -3000, 0)
    if way == "door":
        assert refusals(stage.ask(2, Go, "hall")) == []
    elif way == "leave":
        stage.do(2, Leave("left"))
    else:
        stage.ask(1, Moderate, stage.handle(2), "remove")
    assert stage.world.viewers(0) == [1]
    assert stage.world.attached() == ([1, 2] if way == "door" else [1])


def test_a_late_answer_for_somebody_who_left_opens_nothing(stage):
    stage.go_to(1, -3000, 0)
    stage.ask(1, Go, "hall")
    assert bodies(stage.grant(1), BedAccess) == [] and stage.world.viewers(0) == []


def test_a_reconnect_keeps_access_and_is_told_again(stage):
    stage.grant(1)
    stage.do(1, Detach())
    assert bodies(stage.wait(100), ToAccess) == []
    events = stage.do(1, Resume(bytes(32)))
    assert bodies(events, BedAccess, 1) == [BedAccess(0, 101, stage.world.patient_of(0), True)]
    assert bodies(events, ToAccess) == []


def test_who_is_away_is_not_asked_for_until_they_are_back(stage):
    stage.do(1, Detach())
    assert bodies(stage.wait(200), ToAccess) == []
    assert bodies(stage.do(1, Resume(bytes(32))), ToAccess)


def test_room_entered_names_the_first_bed_and_pseudonyms_hang_on_seed_and_bed(stage):
    assert bodies(stage.join(2, "clinician", "clinic"), RoomEntered, 2)[0].first_bed == 0
    other = Stage(house(beds=True), seed=8)
    assert len(stage.world.patient_of(0)) == 16 and stage.world.patient_of(0) != other.world.patient_of(0)
    world = stage.world
    assert (world.bed_of(world.patient_of(0)), world.bed_of(bytes(16))) == (0, None)
    assert (world.bed_index("clinic/bed-1"), world.bed_index("clinic/bed-9"), world.bed_count) == (0, None, 1)


# --- orders ----------------------------------------------------------------------------------------------------------


def test_record_then_act(stage):
    stage.join(2, "student", "clinic")
    stage.grant(1, 2)
    events = order(stage)
    assert bodies(events, OrderState, 1) == [OrderState(9, 0, "recording", 0, b"", "oxygen 40 %")]
    leaf = sha256(b"leaf").digest()
    assert bodies(events, ToRecord) == [ToRecord(leaf, b"entry", b"blob", b"key")] == stage.world.pending()
    events = stage.step(Command(0, 0, Recorded(leaf, 42, b"proof")))
    assert bodies(events, OrderState, 1) == [OrderState(9, 0, "recorded", 42, b"proof", "oxygen 40 %")]
    assert [e.body for e in events if e.audience == ("bed", 0) and isinstance(e.body, Care)] == [
        Care(0, 42, "P1", "oxygen 40 %")
    ]
    assert stage.world.pending() == []


def test_only_a_recorded_order_changes_the_patient():
    def patients(answer):
        stage = Stage(house(beds=True))
        stage.join(1, "clinician", "clinic")
        stage.grant(1)
        order(stage, body=to_fhir(Order("norepinephrine", 1.0), stage.world.patient_of(0).hex()))
        stage.step(*([Command(0, 0, answer)] if answer else []))
        shown = [body for body in seen(stage.wait(45 * 30)) if isinstance(body, BedVitals)]
        return shown[-1]

    leaf = sha256(b"leaf").digest()
    nothing, refused = patients(None), patients(Unrecorded(leaf, "the ledger is down"))
    given = patients(Recorded(leaf, 1, b""))
    assert refused == nothing and nothing.running == []
    assert given.running == ["norepinephrine 1.00 ug/kg/min"] and given.map > nothing.map + 5


def test_an_order_takes_effect_even_if_who_gave_it_has_left(stage):
    stage.join(2, "clinician", "clinic")
    stage.grant(1, 2)
    order(stage)
    stage.do(1, Leave("left"))
    events = stage.step(Command(0, 0, Recorded(sha256(b"leaf").digest(), 42, b"")))
    assert [body.by for body in bodies(events, Care)] == ["P1"]


def test_unrecorded_is_refused_with_the_reason_and_may_be_tried_again(stage):
    stage.grant(1)
    order(stage)
    events = stage.step(Command(0, 0, Unrecorded(sha256(b"leaf").digest(), "ledger-down")))
    assert bodies(events, OrderState, 1) == [OrderState(9, 0, "refused", 0, b"", "ledger-down")]
    assert bodies(events, Care) == [] and refusals(order(stage)) == []


def test_the_same_leaf_is_taken_once_whether_it_waits_or_is_done(stage):
    stage.grant(1)
    order(stage)
    assert refusals(order(stage)) == ["same-leaf"]
    answer = Command(0, 0, Recorded(sha256(b"leaf").digest(), 1, b""))
    assert len(bodies(stage.step(answer), Care)) == 1
    assert refusals(order(stage)) == ["same-leaf"]
    assert bodies(stage.step(answer), Care) == [], "an answer is used once"


@pytest.mark.parametrize(
    ("client", "change", "code"),
    [
        (2, {}, "may-not-order"),
        (3, {}, "may-not-order"),
        (1, {"bed": 1}, "no-such-bed"),
        (1, {"bed": 255}, "no-such-bed"),
        (1, {"content": b"{}"}, "order-refused"),
        (1, {"content": b"\xff\xfe"}, "order-refused"),
        (4, {}, "no-access"),
    ],
)
def test_orders_that_are_refused_before_anything_is_recorded(stage, client, change, code):
    stage.join(2, "student", "clinic")
    stage.join(3, "clinician", "hall")
    stage.grant(1, 2)
    stage.join(4, "clinician", "clinic")
    events = order(stage, client, **change)
    assert refusals(events) == [code] and bodies(events, ToRecord) == [] == stage.world.pending()


def test_an_order_for_another_patient_or_beyond_this_ones_weight_is_refused(stage):
    stage.grant(1)
    assert refusals(order(stage, body=content(stage, patient=bytes(16)))) == ["wrong-patient"]
    bolus = to_fhir(Order("propofol", 450.0, 60.0), stage.world.patient_of(0).hex())
    [refused] = bodies(order(stage, body=bolus), Refused)
    assert refused.code == "order-refused" and refused.seq == 9
    assert stage.world.patient_of(0).hex() not in refused.text


def test_so_many_orders_wait_and_no_more():
    stage = Stage(house(beds=True), Limits(pending_orders_max=1))
    stage.join(1, "clinician", "clinic")
    stage.grant(1)
    assert refusals(order(stage)) == []
    assert refusals(order(stage, leaf=b"second")) == ["too-many-pending"]


def test_a_key_is_enrolled_when_its_entry_is_recorded(stage):
    leaf = sha256(b"key").digest()
    events = stage.do(1, EnrolSigned(4, leaf, b"key entry"))
    assert bodies(events, ToRecord) == [ToRecord(leaf, b"key entry", b"", b"")]
    assert refusals(stage.do(1, EnrolSigned(5, sha256(b"other").digest(), b"x"))) == ["already-enrolling"]
    events = stage.step(Command(0, 0, Recorded(leaf, 3, b"proof")))
    assert bodies(events, Enrolled, 1) == [Enrolled(4, 3, b"proof")]


def test_a_key_that_is_not_recorded_is_refused_with_the_reason(stage):
    leaf = sha256(b"key").digest()
    stage.do(1, EnrolSigned(4, leaf, b"key entry"))
    events = stage.step(Command(0, 0, Unrecorded(leaf, "ledger-down")))
    assert bodies(events, Refused, 1) == [Refused(4, "unrecorded", "ledger-down")]


# --- devices, alarms -------------------------------------------------------------------------------------------------


def test_device_data_is_shown_with_its_source_and_a_bed_that_is_not_there_is_nothing(stage):
    stage.grant(1)
    block = DeviceBlock(0, "monitor 7", {"hr": 61.0, "sap": 139.0, "dap": 71.0, "map": 94.0})
    assert stage.step(Command(0, 0, DeviceBlock(9, "nowhere", {"hr": 1.0}))) is not None
    stage.step(Command(0, 0, block))
    vitals = [body for body in seen(stage.wait(31)) if isinstance(body, BedVitals)][-1]
    assert vitals.source == "device: monitor 7" and (vitals.hr, vitals.sap, vitals.dap) == (61.0, 139.0, 71.0)
    assert vitals.etco2 is None


def test_an_alarm_is_acknowledged_by_a_clinician_who_sees_it(stage):
    stage.join(2, "student", "clinic")
    assert refusals(stage.ask(1, AckAlarm, 0, "hr-low")) == ["no-access"]
    stage.grant(1, 2)
    assert refusals(stage.ask(1, AckAlarm, 0, "no-such-alarm")) == ["no-such-alarm"]
    assert refusals(stage.ask(2, AckAlarm, 0, "hr-low")) == ["may-not-acknowledge"]
    raised = []
    for _ in range(12):  # a heart rate no adult should have, until somebody hears of it
        stage.step(Command(0, 0, DeviceBlock(0, "monitor 7", {"hr": 20.0, "spo2": 97.0})))
        shown = [body for body in seen(stage.wait(30)) if isinstance(body, BedVitals)]
        raised = [alarm.code for alarm in shown[-1].alarms if not alarm.acked_by]
        if raised:
            break
    assert raised, "no alarm was raised"
    assert refusals(stage.ask(1, AckAlarm, 0, raised[0])) == []
    shown = [body for body in seen([*stage.events, *stage.wait(31)]) if isinstance(body, BedVitals)]
    assert next(alarm for alarm in shown[-1].alarms if alarm.code == raised[0]).acked_by == "P1"


def test_nothing_of_a_bed_is_told_to_anybody_but_its_viewers(stage):
    stage.join(2, "patient", "hall")
    stage.grant(1)
    events = [*order(stage), *stage.step(Command(0, 0, Recorded(sha256(b"leaf").digest(), 1, b""))), *stage.wait(31)]
    clinical = (BedVitals, WaveFrame, Care, OrderState, BedAccess)
    told = {event.audience for event in events if isinstance(event.body, clinical)}
    assert told == {("bed", 0), ("client", 1)} and stage.world.viewers(0) == [1]
    assert stage.world.room_of(1) == CLINIC
