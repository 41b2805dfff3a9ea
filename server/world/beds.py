"""Beds: who may look, what was ordered, what devices say. Record, then act: nothing clinical happens before its entry.

Owns viewing and what waits for the ledger. The patients themselves are `twin.bedside`'s.
"""

from server.twin.orders import Order, OrderError, check_for, from_fhir
from server.twin.shown import DeviceData, Vitals
from server.world.commands import (
    AccessRecorded,
    AckAlarm,
    DeviceBlock,
    EnrolSigned,
    OrderSigned,
    Recorded,
    Unrecorded,
)
from server.world.events import (
    Alarm,
    BedAccess,
    BedVitals,
    Care,
    Enrolled,
    OrderState,
    Refused,
    ToAccess,
    ToRecord,
    WaveFrame,
)
from server.world.tables import SEEN_LEAVES_MAX, Pending, Refusal, Resident, Tables

ENROLMENT = -1  # Pending.bed of an enrolment

# --- viewing ---------------------------------------------------------------------------------------------------------


def viewers(t: Tables, bed: int) -> list[int]:
    """Clients to whom a bed's monitor is open, ascending."""
    return sorted(client for client, seen in t.viewing if seen == bed)


def ask_all(t: Tables, who: Resident) -> None:
    """Ask for access to every bed of the room that they may see and do not see yet."""
    if not t.may(who, "see_twin"):
        return
    for bed in t.beds_in(who.room):
        if (who.client, bed) not in t.viewing:
            _ask(t, who.client, bed)


def _ask(t: Tables, client: int, bed: int) -> None:
    t.asking[client, bed] = t.tick + max(1, round(t.limits.access_retry_s * t.tick_hz))
    t.tell_shard(ToAccess(client, bed, t.beds[bed].patient))


def ask_again(t: Tables) -> None:
    """Repeat what was not answered in time, for those who are connected."""
    for (client, bed), due in list(t.asking.items()):
        if due <= t.tick and t.residents[client].away_since < 0:
            _ask(t, client, bed)


def close_all(t: Tables, who: Resident) -> None:
    """They see no bed any more, from this tick on."""
    for table in (t.viewing, t.asking):
        for key in [key for key in table if key[0] == who.client]:
            del table[key]


def tell_again(t: Tables, who: Resident) -> None:
    """Repeat the access they have, for somebody who is back."""
    for (client, bed), index in list(t.viewing.items()):
        if client == who.client:
            _tell_access(t, who, bed, index)


def _tell_access(t: Tables, who: Resident, bed: int, index: int) -> None:
    t.tell(who.client, BedAccess(bed, index, t.beds[bed].patient, t.may(who, "order")))


def access_recorded(t: Tables, asked: AccessRecorded) -> None:
    """The bed's monitor opens to them, if they still are where they asked."""
    if t.asking.pop((asked.viewer, asked.bed), None) is not None:
        t.viewing[asked.viewer, asked.bed] = asked.index
        _tell_access(t, t.residents[asked.viewer], asked.bed, asked.index)


def _need_bed(t: Tables, who: Resident, bed: int) -> None:
    if bed not in t.beds_in(who.room):
        raise Refusal("no-such-bed", f"bed {bed} is not in {t.room_of(who).slug}")
    if (who.client, bed) not in t.viewing:
        raise Refusal("no-access", f"your access to bed {bed} is not recorded yet: try again in a moment")


# --- orders and enrolments -------------------------------------------------------------------------------------------


def order_signed(t: Tables, who: Resident, asked: OrderSigned) -> None:
    """A signed order is checked against the person, the bed and the limits; then it waits for its entry."""
    t.need(who, "order")
    _need_bed(t, who, asked.bed)
    order = _read(t, asked)
    _wait(t, who, asked.leaf, Pending(who.client, asked.seq, asked.bed, who.name, asked.entry, asked.blob,
                                      asked.wrapped_key, asked.content))  # fmt: skip
    t.tell(who.client, OrderState(asked.seq, asked.bed, "recording", 0, b"", order.text))


def _read(t: Tables, asked: OrderSigned) -> Order:
    bed = t.beds[asked.bed]
    try:
        order = from_fhir(asked.content)
        if order.patient != bed.patient.hex():
            raise Refusal("wrong-patient", f"the order is for another patient than the one in bed {asked.bed}")
        check_for(order, bed.place.patient.weight_kg)
    except OrderError as error:
        raise Refusal("order-refused", str(error)) from error
    return order


def enrol_signed(t: Tables, who: Resident, asked: EnrolSigned) -> None:
    """A key entry waits to be recorded."""
    if any(row.client == who.client and row.bed == ENROLMENT for row in t.pending.values()):
        raise Refusal("already-enrolling", "a key of yours is being recorded")
    _wait(t, who, asked.leaf, Pending(who.client, asked.seq, ENROLMENT, who.name, asked.entry, b"", b"", b""))


def _wait(t: Tables, who: Resident, leaf: bytes, row: Pending) -> None:
    if leaf in t.pending or leaf in t.seen:
        raise Refusal("same-leaf", "this very entry was given before")
    if len(t.pending) >= t.limits.pending_orders_max:
        raise Refusal("too-many-pending", f"{len(t.pending)} entries wait for the ledger, more are not allowed")
    t.pending[leaf] = row
    t.tell_shard(to_record(leaf, row))


def to_record(leaf: bytes, row: Pending) -> ToRecord:
    """What the shard passes on to the ledger."""
    return ToRecord(leaf, row.entry, row.blob, row.wrapped_key)


def _take(t: Tables, leaf: bytes) -> Pending | None:
    row = t.pending.pop(leaf, None)
    if row is not None:
        t.seen[leaf] = None
        if len(t.seen) > SEEN_LEAVES_MAX:
            del t.seen[next(iter(t.seen))]
    return row


def recorded(t: Tables, asked: Recorded) -> None:
    """The entry is durable: the order takes effect in this tick, even if who gave it has left."""
    row = _take(t, asked.leaf)
    if row is None:
        return
    if row.bed == ENROLMENT:
        t.tell(row.client, Enrolled(row.seq, asked.index, asked.proof))
        return
    order = from_fhir(row.content)
    t.bedside.order(row.bed, order, t.tick)
    t.tell(row.client, OrderState(row.seq, row.bed, "recorded", asked.index, asked.proof, order.text))
    t.tell_bed(row.bed, Care(row.bed, asked.index, row.by, order.text))


def unrecorded(t: Tables, asked: Unrecorded) -> None:
    """The entry is not on the log: nothing happens, and the asker is told."""
    row = t.pending.pop(asked.leaf, None)
    if row is None:
        return
    if row.bed == ENROLMENT:
        t.tell(row.client, Refused(row.seq, "unrecorded", asked.reason))
        return
    t.tell(row.client, OrderState(row.seq, row.bed, "refused", 0, b"", asked.reason))


# --- alarms, devices, what beds show ---------------------------------------------------------------------------------


def ack_alarm(t: Tables, who: Resident, asked: AckAlarm) -> None:
    """A clinician acknowledges a latched alarm."""
    t.need(who, "acknowledge")
    _need_bed(t, who, asked.bed)
    if not t.bedside.acknowledge(asked.bed, asked.alarm, who.name, t.tick):
        raise Refusal("no-such-alarm", f"no alarm {asked.alarm} is latched at bed {asked.bed}")


def device_block(t: Tables, asked: DeviceBlock) -> None:
    """Device data for a bed; nothing if this house has no such bed."""
    if asked.bed < len(t.beds):
        t.bedside.device(
            asked.bed,
            DeviceData(asked.source, asked.numerics, asked.rate_hz, asked.first_sample, asked.waves, asked.end),
            t.tick,
        )


def step(t: Tables) -> None:
    """All beds move on by a tick; what they show goes to their viewers only."""
    seen = {bed for _, bed in t.viewing}
    for out in t.bedside.step(t.tick):
        if out.bed in seen:
            body = WaveFrame(out.body) if isinstance(out.body, bytes) else _vitals(out.bed, out.body)
            t.tell_bed(out.bed, body)


def _vitals(bed: int, shown: Vitals) -> BedVitals:
    values = shown._asdict()
    values["alarms"] = [Alarm(*row) for row in shown.alarms]
    values["running"] = list(shown.running)
    return BedVitals(bed=bed, **values)
