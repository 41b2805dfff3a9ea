"""Every control message of the wire, both ways, and the hash of the protocol they make up.

Owns what may be said before and around world commands: hello, welcome, ping, bye. The bodies of `world.commands` and
`world.events` complete the two unions. One frame is one MessagePack array [tag, field, ...] (first byte >= 0x80) or one
binary frame (first byte < 0x80: snapshots, wave blocks, poses). Never decodes without a declared type and a size limit.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from server.world import commands, events
from server.world.commands import U32, U53, Digest32, PersonName, Wire


class Hello(Wire, tag=1, frozen=True):
    """First frame of a client. Either `token` (a join token, new here) or `resume` (the 32-byte secret of Welcome).

    `key` is the client's raw Ed25519 public key, `proof` its signature over
    b"asclepion/hello/1\\0" || SHA-256(token or resume) || protocol (8 bytes).
    """

    protocol: Annotated[bytes, Meta(min_length=8, max_length=8)]
    token: Annotated[str, Meta(max_length=1024)]
    resume: Annotated[bytes, Meta(max_length=32)]
    key: Digest32
    proof: Annotated[bytes, Meta(min_length=64, max_length=64)]


class Ping(Wire, tag=2, frozen=True):
    """Answered by Pong with the same `stamp`."""

    seq: U32
    stamp: U53


class Bye(Wire, tag=3, frozen=True):
    """The sender ends the session. Servers say why: a stable `code` and a sentence."""

    code: Annotated[str, Meta(max_length=40)]
    text: Annotated[str, Meta(max_length=300)] = ""


class Welcome(Wire, tag=4, frozen=True):
    """The session stands. RoomEntered follows. `resume` is the secret for a reconnect within `seat_hold_s`."""

    client: U32
    resume: Digest32
    tick: int
    tick_hz: int
    seat_hold_s: int
    input_hz: int
    name: PersonName
    log_vkey: str  # C2SP verifier key of the ledger, "" while it is not known
    log_kid: int  # index of this key's enrolment on the log, -1 if none
    resumed: bool


class Pong(Wire, tag=5, frozen=True):
    """Answer to Ping; `tick` is the shard's current one."""

    stamp: int
    tick: int


class Notice(Wire, tag=6, frozen=True):
    """State of the house for everybody: ("ledger", "down" or "up", sentence), ("log", "key", the log's vkey)."""

    topic: str
    state: str
    text: str


class Several(Wire, tag=7, frozen=True):
    """Messages of one tick in one frame, in order: who came and who left, when it was more than one."""

    messages: list[bytes]


ClientMessage = (
    Hello | Ping | Bye
    | commands.Teleport | commands.Sit | commands.Stand | commands.Go | commands.Grab | commands.Release
    | commands.Offer | commands.Say | commands.Admit | commands.Moderate | commands.Lock | commands.MakeInvite
    | commands.RevokeInvite
    | commands.AckAlarm | commands.PlaceOrder | commands.Enrol | commands.Point | commands.Touch
)  # fmt: skip
ServerMessage = (
    Welcome | Pong | Bye | Notice | Several
    | events.RoomEntered | events.PersonCame | events.PersonLeft | events.Said | events.Refused | events.WaitingList
    | events.YouWait | events.ThingTaken | events.Offered | events.RoomLocked | events.InviteMade | events.BedVitals
    | events.BedAccess | events.BedChain | events.OrderState | events.Care | events.Enrolled | events.Removed
    | events.Pointed | events.Touched
)  # fmt: skip

client_decoder = msgspec.msgpack.Decoder(ClientMessage)
server_decoder = msgspec.msgpack.Decoder(ServerMessage)
encoder = msgspec.msgpack.Encoder()
