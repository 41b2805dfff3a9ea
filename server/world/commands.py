"""What may be asked of the world. Every change enters through one of these; the journal stores them as they are.

Owns the shape of commands. Never checks meaning: `world.step` does, against roles and the state.
Bodies that a client may send are also wire messages (see PROTOCOL.md); `client` and order come from the session.
`seen` is the tick a person saw when they did it, 0 for now: reach is judged at that time.
Lengths and ranges are declared here and enforced at the border by the decoder. Units: mm, yaw in
1/1024 turn, ticks, seconds where a name ends in `_s`.
"""

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

Role = Literal["patient", "clinician", "carer", "student", "observer", "operator"]
ROLES: tuple[Role, ...] = ("patient", "clinician", "carer", "student", "observer", "operator")

U8 = Annotated[int, Meta(ge=0, le=0xFF)]
U16 = Annotated[int, Meta(ge=0, le=0xFFFF)]
U32 = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
U53 = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
Millimetres = Annotated[int, Meta(ge=-32_767, le=32_767)]
Slug = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[a-z0-9][a-z0-9-]*$")]
PersonName = Annotated[str, Meta(min_length=1, max_length=40)]
Line = Annotated[str, Meta(min_length=1, max_length=500)]
Reason = Annotated[str, Meta(max_length=120)]
Digest32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Hand = Literal[0, 1]  # left, right
Bed = U8  # index into the world's bed table, in room then file order


class Wire(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Base of everything that is written as a MessagePack array [tag, field, ...]."""


# --- what a client may send (seq: the session's strictly growing number, shared with poses) ---------------------------


class Teleport(Wire, tag=16):
    """Jump within the room to a floor point, at most `teleport_mm_max` away, onto free floor."""

    seq: U32
    x_mm: Millimetres
    z_mm: Millimetres


class Sit(Wire, tag=17):
    """Take seat number `seat` of the room (within reach, free)."""

    seq: U32
    seat: U16


class Stand(Wire, tag=18):
    """Leave the seat."""

    seq: U32


class Go(Wire, tag=19):
    """Walk through the door to `room` (the avatar stands at that door)."""

    seq: U32
    room: Slug


class Grab(Wire, tag=20):
    """Take a thing within reach that nobody holds, or that its holder offers to the asker."""

    seq: U32
    thing: U32
    hand: Hand
    seen: U32 = 0


class Release(Wire, tag=21):
    """Put down what the hand holds, where the hand is (it comes to rest on the floor or furniture below)."""

    seq: U32
    hand: Hand


class Offer(Wire, tag=22):
    """Hold out what the hand holds to another avatar, who then may grab it."""

    seq: U32
    hand: Hand
    to: U32
    seen: U32 = 0


class Say(Wire, tag=23):
    """Text chat to the room."""

    seq: U32
    text: Line


class Admit(Wire, tag=24):
    """Let a waiting person (`who`: avatar handle) into the asker's room, or turn them away."""

    seq: U32
    who: U32
    allow: bool


class Moderate(Wire, tag=25):
    """Mute, unmute, remove or ban a person of the asker's room. A ban survives a restart."""

    seq: U32
    who: U32
    act: Literal["mute", "unmute", "remove", "ban"]
    reason: Reason = ""


class Lock(Wire, tag=26):
    """Lock or unlock the asker's room: nobody new comes in while it is locked (reconnects do)."""

    seq: U32
    on: bool


class MakeInvite(Wire, tag=27):
    """Ask for an invite. `code` is chosen by the shard before the command is journalled (empty on the wire)."""

    seq: U32
    room: Slug
    role: Role
    uses: Annotated[int, Meta(ge=1, le=1000)]
    valid_s: Annotated[int, Meta(ge=60, le=30 * 86_400)]
    code: Annotated[str, Meta(max_length=64)] = ""


class RevokeInvite(Wire, tag=28):
    """Make an invite worthless from this tick on."""

    seq: U32
    code: Annotated[str, Meta(min_length=1, max_length=64)]


class AckAlarm(Wire, tag=29):
    """A clinician acknowledges a latched alarm at a bed."""

    seq: U32
    bed: Bed
    alarm: Slug


class PlaceOrder(Wire, tag=30):  # becomes OrderSigned in the shard before it is journalled
    """A clinical order: the signed ledger entry and what it commits to.

    `content` is the FHIR R4 resource (JSON) that says what is ordered; `entry` is a tagged COSE_Sign1 whose payload
    holds commit = HMAC-SHA256(salt, content) and ct_hash = SHA-256(nonce || AES-256-GCM(key, nonce, content)).
    """

    seq: U32
    bed: Bed
    entry: Annotated[bytes, Meta(min_length=1, max_length=2048)]
    content: Annotated[bytes, Meta(min_length=2, max_length=8192)]
    salt: Digest32
    key: Digest32
    nonce: Annotated[bytes, Meta(min_length=12, max_length=12)]


class Enrol(Wire, tag=31):  # becomes EnrolSigned in the shard
    """Put the client's signing key on record: a self-signed `key` entry. Its log index becomes the client's `kid`."""

    seq: U32
    entry: Annotated[bytes, Meta(min_length=1, max_length=1024)]


class Point(Wire, tag=32):
    """Ask what a pointing hand points at (the pose says that it points); those who see it are told."""

    seq: U32
    hand: Hand
    seen: U32 = 0


class Touch(Wire, tag=33):
    """Touch a person (`target`: avatar handle), a thing (handle) or a bed (index) that the hand is at."""

    seq: U32
    hand: Hand
    what: Literal["person", "thing", "bed"]
    target: U32
    seen: U32 = 0


# --- what only the shard says (never accepted from the wire) ----------------------------------------------------------


class Join(Wire, tag=64):
    """A verified person comes in. `person`: fingerprint of their key, `resume_hash`: SHA-256 of their secret."""

    name: PersonName
    role: Role
    room: Slug
    person: Annotated[bytes, Meta(min_length=16, max_length=16)]
    resume_hash: Digest32
    invite: str = ""


class Detach(Wire, tag=65):
    """The connection is gone; seat, pose, role and held things are kept for `seat_hold_s`."""


class Resume(Wire, tag=66):
    """The same person is back on a new connection (same client number); the secret's hash is replaced."""

    resume_hash: Digest32


class Leave(Wire, tag=67):
    """The person is gone for good (said bye, broke the protocol, was too slow)."""

    reason: Reason


class Redeem(Wire, tag=68):
    """Use an invite once. `request` comes back in the event; `person` as in Join; `now_s` is Unix time, for expiry."""

    request: U53
    code: Annotated[str, Meta(min_length=1, max_length=64)]
    room: Annotated[str, Meta(max_length=40)]
    name: PersonName
    person: Annotated[bytes, Meta(min_length=16, max_length=16)]
    now_s: U53


class Recorded(Wire, tag=69):
    """The ledger has entry `leaf` durable and signed at `index`: what waited for it takes effect in this tick."""

    leaf: Digest32
    index: U53
    proof: bytes


class Unrecorded(Wire, tag=70):
    """The ledger refused entry `leaf` or cannot be reached: what waited for it is dropped with that reason."""

    leaf: Digest32
    reason: Reason


class DeviceBlock(Wire, tag=71):
    """Device data for one bed. `numerics`: name -> value (units as BedVitals); `waves`: channel -> int16 little endian.

    Channels and scales as the wave block of PROTOCOL.md; `first_sample` counts at `rate_hz` since the feed began.
    """

    bed: Bed
    source: Annotated[str, Meta(min_length=1, max_length=60)]
    numerics: dict[str, float] = {}
    rate_hz: Annotated[int, Meta(ge=0, le=1000)] = 0
    first_sample: U53 = 0
    waves: dict[str, bytes] = {}
    end: bool = False


class OrderSigned(Wire, tag=74):
    """A PlaceOrder whose entry, commitment, ciphertext and chain the shard found right; `leaf`: the entry's leaf hash.

    `client` of the command is the asker. `blob` and `wrapped_key` go to the ledger with the entry, off the log.
    """

    seq: U32
    bed: Bed
    leaf: Digest32
    entry: bytes
    content: bytes
    blob: bytes
    wrapped_key: bytes


class EnrolSigned(Wire, tag=75):
    """An Enrol whose self-signature the shard found right."""

    seq: U32
    leaf: Digest32
    entry: bytes


class AccessRecorded(Wire, tag=73):
    """The `access` entry of `viewer` (client number) for `bed` is durable at `index`: its monitor opens to them."""

    viewer: U32
    bed: Bed
    index: U53


class SetInvite(Wire, tag=72):
    """An invite made by the shard itself (demo links, `asclepion invite`). `expires_s` is Unix time."""

    code: Annotated[str, Meta(min_length=1, max_length=64)]
    room: Slug
    role: Role
    uses: Annotated[int, Meta(ge=1, le=1_000_000)]
    expires_s: U53


Asked = (
    Teleport | Sit | Stand | Go | Grab | Release | Offer | Say | Admit | Moderate | Lock | MakeInvite | RevokeInvite
    | AckAlarm | Point | Touch
)  # fmt: skip
Internal = (
    Join | Detach | Resume | Leave | Redeem | Recorded | Unrecorded | DeviceBlock | SetInvite | OrderSigned
    | EnrolSigned | AccessRecorded
)  # fmt: skip
Body = Asked | Internal


class Command(NamedTuple):
    """One accepted command. `client` 0 is the shard itself. Sorted by (client, sequence) before a step."""

    client: int
    sequence: int
    body: Body
