"""Who may come in: hellos, invites, join and feed tokens. Answers the edges' HTTP questions for the shard.

Owns the token key and the check of a Hello; holds nothing about a peer before its token verifies. Never changes the
world: it returns commands for the tick.
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from server.config import Limits
from server.net.hello import fingerprint, to_be_signed
from server.net.messages import Hello
from server.net.protocol import PROTOCOL_HASH
from server.net.session import ProtocolError
from server.net.token import Claims, TokenDesk, TokenError, base64url
from server.world.commands import DeviceBlock, Redeem, SetInvite
from server.world.events import Redeemed
from server.world.world import World

Draw = Callable[[int], bytes]


class Newcomer(NamedTuple):
    """A verified hello: who it is, and either a token's claims or the client number that resumes."""

    person: bytes
    public: bytes
    claims: Claims | None
    resumes: int | None
    resume: bytes = b""


class Reply(NamedTuple):
    """An HTTP answer for an edge."""

    status: int
    body: bytes


class RedeemBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a join page asks; see net.link.Ask."""

    room: str
    invite: str
    name: str
    key: str
    curve: str = ""


class WhoBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a join page shows before anybody is let in."""

    room: str
    invite: str


class FeedBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Device data with its bearer token; `block` is base64 of a MessagePack DeviceBlock."""

    authorization: str
    bed: str
    block: str


class InviteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operator's token that asks for an invite."""

    authorization: str


def reply(status: int, **body: object) -> Reply:
    """A JSON answer."""
    return Reply(status, msgspec.json.encode(body))


class Reception:
    """The shard's front desk. `endpoint` and `curve` are what native clients connect to."""

    def __init__(
        self, tokens: TokenDesk, limits: Limits, endpoint: str, curve: str, draw: Draw = secrets.token_bytes
    ) -> None:
        """`draw`: where secrets and codes come from, so many random bytes a call."""
        self.draw = draw
        self.counters: dict[str, int] = {}
        self._tokens = tokens
        self._limits = limits
        self._endpoint = endpoint
        self._curve = curve
        self._asked: dict[int, RedeemBody] = {}

    # --- hellos -----------------------------------------------------------------------------------------------------

    def check(self, hello: Hello, user_id: str, world: World, unix_s: float) -> Newcomer:
        """Verify a hello to the end; raises ProtocolError. A token is used up only when all is right."""
        if hello.protocol != PROTOCOL_HASH:
            raise ProtocolError("protocol", f"protocol {hello.protocol.hex()} offered, {PROTOCOL_HASH.hex()} is spoken")
        if bool(hello.token) == bool(hello.resume):
            raise ProtocolError("hello", "a hello carries a token or a resume secret, one of them")
        self._check_proof(hello)
        person = fingerprint(hello.key)
        if world.banned(person):
            raise ProtocolError("banned", "this person is banned from this house")
        if hello.resume:
            client = self._resumes(hello.resume, person, world)
            return Newcomer(person, hello.key, None, client, hello.resume)
        return Newcomer(person, hello.key, self._claims(hello, person, user_id, unix_s), None)

    def _check_proof(self, hello: Hello) -> None:
        signed = to_be_signed(hello.token, hello.resume, hello.protocol)
        try:
            Ed25519PublicKey.from_public_bytes(hello.key).verify(hello.proof, signed)
        except (InvalidSignature, ValueError):
            raise ProtocolError("proof", "the hello is not signed by the key it names") from None

    def _resumes(self, secret: bytes, person: bytes, world: World) -> int:
        client = world.resume_client(secret_hash(secret))
        if client is None or world.person_of(client) != person:
            raise ProtocolError("resume", "that seat is not held any more: join again")
        return client

    def _claims(self, hello: Hello, person: bytes, user_id: str, unix_s: float) -> Claims:
        try:
            claims = self._tokens.verify_join(hello.token, unix_s)
        except TokenError as error:
            raise ProtocolError("token", str(error)) from error
        if claims.person and claims.person != person:
            raise ProtocolError("token", "the join token was given to another key")
        if claims.curve and claims.curve != user_id:
            raise ProtocolError("token", "the join token was given to another connection key")
        return claims

    # --- what an edge asks ------------------------------------------------------------------------------------------

    def ask_redeem(self, request: int, body: bytes, unix_s: float) -> Redeem | Reply:
        """The command that uses an invite (its event goes to `redeemed`), or a refusal at once."""
        try:
            asked = msgspec.json.decode(body, type=RedeemBody)
            public = base64.urlsafe_b64decode(asked.key + "==")
            if len(public) != 32:
                raise ValueError(f"key has {len(public)} bytes, an Ed25519 public key has 32")
            command = Redeem(request, asked.invite, asked.room, asked.name, fingerprint(public), int(unix_s))
            msgspec.convert(msgspec.to_builtins(command), Redeem)
        except ValueError as error:
            return reply(400, code="bad-request", text=str(error))
        self._asked[request] = asked
        return command

    def redeemed(self, event: Redeemed, unix_s: float) -> Reply:
        """The answer to a join page, with a fresh token when the invite was good."""
        asked = self._asked.pop(event.request)
        if not event.ok or event.role is None:
            return reply(403, code="invite", text=event.text)
        claims = Claims(room=event.room, role=event.role, name=event.name, person=event.person, curve=asked.curve,
                        invite=event.code)  # fmt: skip
        token = self._tokens.mint_join(claims, unix_s)
        return reply(200, token=token, room=event.room, role=event.role, name=event.name, endpoint=self._endpoint,
                     curve=self._curve)  # fmt: skip

    def who(self, body: bytes, world: World, unix_s: float) -> Reply:
        """What the join page shows, to the holder of a good invite only."""
        try:
            asked = msgspec.json.decode(body, type=WhoBody)
        except ValueError as error:
            return reply(400, code="bad-request", text=str(error))
        invite = world.invite(asked.invite)
        if invite is None or invite.room != asked.room or invite.uses < 1 or invite.expires_s <= unix_s:
            return reply(403, code="invite", text="this link is not valid (any more): ask for a new one")
        index = world.room_index(invite.room)
        room = world.rooms[index]
        people = [{"name": p.name, "role": p.role} for p in world.people_in(index)]
        return reply(200, title=room.title, kind=room.kind, role=invite.role, capacity=room.capacity, people=people)

    def invite(self, body: bytes, world: World, unix_s: float) -> SetInvite | Reply:
        """The command an operator's request for an invite becomes, or the refusal."""
        try:
            order = self._tokens.verify_invite(msgspec.json.decode(body, type=InviteBody).authorization, unix_s)
        except TokenError as error:
            return reply(401, code="token", text=str(error))
        except ValueError as error:
            return reply(400, code="bad-request", text=str(error))
        if order.room not in (room.slug for room in world.rooms):
            known = ", ".join(room.slug for room in world.rooms)
            return reply(404, code="room", text=f"there is no room {order.room!r}; there are {known}")
        return SetInvite(new_code(self.draw), order.room, order.role, order.uses, int(unix_s) + order.valid_s)

    def feed_token(self, bed: str, unix_s: float) -> str:
        """A token that lets its bearer post device data for the bed "room/id"."""
        return self._tokens.mint_feed(bed, unix_s)

    def feed(self, body: bytes, world: World, unix_s: float) -> DeviceBlock | Reply:
        """The command device data becomes, or the refusal."""
        try:
            asked = msgspec.json.decode(body, type=FeedBody)
            self._tokens.verify_feed(asked.authorization, asked.bed, unix_s)
            bed = world.bed_index(asked.bed)
            if bed is None:
                return reply(404, code="bed", text="there is no such bed in this house")
            block = msgspec.msgpack.decode(base64.b64decode(asked.block), type=DeviceBlock)
        except TokenError as error:
            return reply(401, code="token", text=str(error))
        except ValueError as error:
            return reply(422, code="block", text=str(error))
        return msgspec.structs.replace(block, bed=bed)


def secret_hash(secret: bytes) -> bytes:
    """What the world keeps of a resume secret."""
    return hashlib.sha256(secret).digest()


def new_secret(draw: Draw = secrets.token_bytes) -> bytes:
    """A fresh resume secret."""
    return draw(32)


def new_code(draw: Draw = secrets.token_bytes) -> str:
    """A fresh invite code: 96 bits, safe in a link."""
    return base64url(draw(12))
