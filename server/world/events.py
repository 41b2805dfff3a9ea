"""What happened in a tick, for the shard to pass on. Bodies are also wire messages (see PROTOCOL.md).

Owns the shape of events. `Event.audience` says who may know; the shard turns that into sends.
"""

from typing import Literal, NamedTuple

import msgspec

from server.world.commands import ROLES, Role, Wire

__all__ = ["ROLES", "Audience", "Event"]


class Person(Wire):
    """One avatar as others see it. `avatar` is its handle (generation << 12 | slot)."""

    avatar: int
    name: str
    role: Role
    person: bytes  # 16-byte fingerprint of the signing key
    muted: bool = False
    away: bool = False  # connection lost, seat held


class Waiting(Wire):
    """One person waiting to be admitted to a room."""

    avatar: int
    name: str
    role: Role


class ThingInfo(Wire):
    """One thing of a room: what it is; where it is comes with snapshots."""

    thing: int  # handle (generation << 12 | slot)
    name: str
    kind: str


class RoomEntered(Wire, tag=96):
    """To the person who came in: where they are, who and what is there. `scene` is the room file as MessagePack."""

    room: str
    room_index: int
    avatar: int
    role: Role
    scene: bytes
    people: list[Person]
    things: list[ThingInfo]
    rights: list[str]  # of: speak, see_twin, order, grab, moderate, admit, invite
    locked: bool = False
    waiting: list[Waiting] = msgspec.field(default_factory=list)  # only for those who may admit
    first_bed: int = 0  # world bed index of the scene's first bed; the others follow in file order


class PersonCame(Wire, tag=97):
    """Somebody came into the room, came back, or changed (muted, away): the whole row again."""

    who: Person


class PersonLeft(Wire, tag=98):
    """Somebody left the room: from this tick they are not in its snapshots."""

    avatar: int
    reason: str


class Said(Wire, tag=99):
    """Chat."""

    avatar: int
    name: str
    text: str


class Refused(Wire, tag=100):
    """The asker's message `seq` was refused: a stable `code` and a sentence with what was got and what is allowed."""

    seq: int
    code: str
    text: str


class WaitingList(Wire, tag=101):
    """To those who may admit: who waits for this room now."""

    waiting: list[Waiting]


class YouWait(Wire, tag=102):
    """To the one who waits: for which room; empty when it is over."""

    room: str
    text: str


class ThingTaken(Wire, tag=103):
    """A thing changed hands, or came into the room in a hand: `owner` 0 means put down."""

    thing: int
    owner: int
    hand: int
    name: str = ""
    kind: str = ""


class Offered(Wire, tag=104):
    """To the one a thing is held out to."""

    thing: int
    by: int


class RoomLocked(Wire, tag=105):
    """The room was locked or unlocked."""

    on: bool


class InviteMade(Wire, tag=106):
    """To the asker: the code to pass on."""

    seq: int
    code: str
    room: str
    role: Role
    uses: int
    valid_s: int


class Alarm(Wire):
    """One latched alarm. Priorities as IEC 60601-1-8: high, medium, low."""

    code: str
    priority: Literal["high", "medium", "low"]
    text: str
    active: bool  # the condition still holds
    acked_by: str = ""


class BedVitals(Wire, tag=107):
    """A bed's numbers, once a second and at once when an alarm changes. To its viewers only. None: no value."""

    bed: int
    tick: int
    source: str  # "model" or "device: NAME"
    live: bool
    hr: float | None  # /min
    sap: float | None  # mmHg
    dap: float | None  # mmHg
    map: float | None  # mmHg
    spo2: float | None  # %
    rr: float | None  # /min
    etco2: float | None  # mmHg
    temp: float | None  # degC
    news2: int | None
    news2_text: str
    alarms: list[Alarm]
    running: list[str]  # what acts now, e.g. "norepinephrine 0.10 ug/kg/min"


class BedAccess(Wire, tag=108):
    """To a viewer: the bed's monitor is open to them from ledger entry `index` on, and what an order must carry."""

    bed: int
    index: int
    patient: bytes  # 16-byte pseudonym
    orders: bool  # may this viewer order here


class BedChain(Wire, tag=109):
    """To those who may order at the bed: the patient's next sequence number and previous leaf hash."""

    bed: int
    patient_seq: int
    prev: bytes


class OrderState(Wire, tag=110):
    """To the asker (viewers get `Care`): what became of an order. On "recorded", `proof` is a tlog-proof text."""

    seq: int
    bed: int
    state: Literal["recording", "recorded", "refused"]
    index: int
    proof: bytes
    text: str


class Care(Wire, tag=111):
    """To the bed's viewers: an order took effect."""

    bed: int
    index: int
    by: str
    text: str


class Enrolled(Wire, tag=112):
    """To whom the key is: it is entry `index` of the log. `proof` is empty (and `seq` may be 0) if it was so before."""

    seq: int
    index: int
    proof: bytes


class Removed(Wire, tag=113):
    """To the one removed or banned, before their session ends."""

    act: str
    reason: str


Target = Literal["person", "thing", "bed", "nothing"]


class Pointed(Wire, tag=114):
    """Somebody points: at a person or thing (`target`: handle), at a bed (index), or at nothing."""

    by: int
    hand: int
    what: Target
    target: int


class Touched(Wire, tag=115):
    """A hand touches a person or thing (`target`: handle) or a bed (index)."""

    by: int
    hand: int
    what: Target
    target: int


class WaveFrame(NamedTuple):
    """A sealed binary wave block of one bed (layout in PROTOCOL.md), ready to send. Not a MessagePack message."""

    frame: bytes


# --- for the shard only ----------------------------------------------------------------------------------------------


class Redeemed(NamedTuple):
    """Answer to Redeem: on success role and room, else the refusal."""

    request: int
    ok: bool
    room: str
    role: Role | None
    name: str
    person: bytes
    code: str
    text: str


class ToRecord(NamedTuple):
    """An accepted clinical event waits for its entry. What waits under `leaf` moves on by Recorded or Unrecorded."""

    leaf: bytes
    entry: bytes
    blob: bytes  # ciphertext, kept off the log; may be empty
    wrapped_key: bytes  # may be empty


class ToAccess(NamedTuple):
    """A viewer may see a bed once an `access` entry says so: the shard writes it, signs it, answers AccessRecorded.

    Emitted again every `access_retry_ticks` while unanswered, so a ledger that was down is made good.
    """

    client: int
    bed: int
    patient: bytes


class SessionOver(NamedTuple):
    """The world ended a client's stay (removed, banned, seat hold over): the shard closes the session."""

    client: int
    reason: str


class Audience(NamedTuple):
    """Who an event is for. kind: "client" (index: client), "room" (room index), "bed" (its viewers), "shard"."""

    kind: Literal["client", "room", "bed", "shard"]
    index: int  # type: ignore[assignment]  # a tuple's own `index` is not used


class Event(NamedTuple):
    """Something happened."""

    audience: Audience
    body: object
