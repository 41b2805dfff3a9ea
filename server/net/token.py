"""Join and feed tokens: short signed statements of the shard about who may come in, or what may feed a bed.

Owns their claims, their signature (EdDSA JWT, RFC 7519 and 8037) and single use. Never holds an invite and never trusts
a header: one algorithm, one key, and a size limit before anything is parsed. Times are Unix seconds, handed in.
"""

import base64
import secrets
import warnings
from collections import OrderedDict
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import OKPKey
from msgspec import Meta

from server.config import Limits
from server.world.commands import PersonName, Role, Slug

ALGORITHM = "EdDSA"
TOKEN_CHARS_MAX = 1024
FEED_VALID_S = 86_400
CLOCK_SKEW_S = 5
JTI_BYTES = 16
FINGERPRINT_BYTES = 16

warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)  # the name is the contract, the key Ed25519


class TokenError(ValueError):
    """A token is refused. `code`: "token", "token-expired", "token-used" or "token-audience". Never holds the token."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Claims(NamedTuple):
    """What a join token says: where, as what, under which name, by which invite; who must hold it."""

    room: str
    role: Role
    name: str
    person: bytes = b""  # 16-byte fingerprint of the signing key that must prove itself, or empty
    curve: str = ""  # z85 CURVE key the native connection must be made with, or empty
    invite: str = ""


class _Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    curve: Annotated[str, Meta(min_length=40, max_length=40)]


class _Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    iss: Literal["asclepion"]
    jti: Annotated[str, Meta(min_length=22, max_length=22)]
    iat: int
    exp: int


class _Join(_Base, frozen=True, kw_only=True):
    aud: Literal["join"]
    room: Slug
    role: Role
    name: PersonName
    person: Annotated[str, Meta(min_length=22, max_length=22)] | None = None  # base64url
    cnf: _Confirmation | None = None
    invite: Annotated[str, Meta(max_length=64)] = ""


class _Feed(_Base, frozen=True, kw_only=True):
    aud: Literal["feed"]
    bed: Annotated[str, Meta(max_length=81, pattern=r"^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9-]*$")]


class _Invite(_Base, frozen=True, kw_only=True):
    aud: Literal["invite"]
    room: Slug
    role: Role
    uses: Annotated[int, Meta(ge=1, le=1_000_000)]
    valid_s: Annotated[int, Meta(ge=60, le=365 * 86_400)]


_Kind = TypeVar("_Kind", _Join, _Feed, _Invite)
_AUDIENCE: dict[type, str] = {_Join: "join", _Feed: "feed", _Invite: "invite"}


class InviteOrder(NamedTuple):
    """What an operator's invite token asks for."""

    room: str
    role: Role
    uses: int
    valid_s: int


def base64url(data: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unbase64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _jti() -> str:
    return base64url(secrets.token_bytes(JTI_BYTES))


def _jwk(key: Ed25519PrivateKey) -> dict[str, str | list[str]]:
    """RFC 8037 form of the key."""
    public = base64url(key.public_key().public_bytes_raw())
    return {"kty": "OKP", "crv": "Ed25519", "x": public, "d": base64url(key.private_bytes_raw())}


class TokenDesk:
    """Makes and checks tokens under one key; remembers which join tokens were used until they expire."""

    def __init__(self, key: Ed25519PrivateKey, limits: Limits) -> None:
        self._key = OKPKey.import_key(_jwk(key))
        self._valid_s = int(limits.token_valid_s)
        self._seen_max = limits.tokens_seen_max
        self._seen: OrderedDict[str, int] = OrderedDict()  # jti -> exp, in order of use

    def mint_join(self, claims: Claims, unix_s: float) -> str:
        """A join token, valid for `token_valid_s`."""
        person = base64url(claims.person) if claims.person else None
        confirmation = _Confirmation(claims.curve) if claims.curve else None
        return self._sign(
            _Join(
                iss="asclepion", jti=_jti(), iat=int(unix_s), exp=int(unix_s) + self._valid_s, aud="join",
                room=claims.room, role=claims.role, name=claims.name, person=person, cnf=confirmation,
                invite=claims.invite,
            )
        )  # fmt: skip

    def mint_feed(self, bed: str, unix_s: float) -> str:
        """A feed token for the bed "room/id", valid for a day."""
        now = int(unix_s)
        return self._sign(_Feed(iss="asclepion", jti=_jti(), iat=now, exp=now + FEED_VALID_S, aud="feed", bed=bed))

    def verify_join(self, token: str, unix_s: float) -> Claims:
        """What a join token says; it is thereby used up. Raises TokenError."""
        found = self._read(token, unix_s, _Join)
        person = _unbase64url(found.person) if found.person else b""
        self._use(found.jti, found.exp, unix_s)
        return Claims(found.room, found.role, found.name, person, found.cnf.curve if found.cnf else "", found.invite)

    def verify_feed(self, token: str, bed: str, unix_s: float) -> None:
        """Check that a feed token is for this bed; it may be shown again. Raises TokenError."""
        if self._read(token, unix_s, _Feed).bed != bed:
            raise TokenError("token-audience", "the token is not made for this bed")

    def mint_invite(self, order: InviteOrder, unix_s: float) -> str:
        """A token that lets the command line have one invite made; the holder of the key is the operator.

        Raises TokenError when the role or a number is not allowed.
        """
        now = int(unix_s)
        claims = _Invite(iss="asclepion", jti=_jti(), iat=now, exp=now + self._valid_s, aud="invite", **order._asdict())
        try:
            msgspec.convert(msgspec.to_builtins(claims), _Invite)
        except msgspec.ValidationError as error:
            raise TokenError("token", str(error)) from None
        return self._sign(claims)

    def verify_invite(self, token: str, unix_s: float) -> InviteOrder:
        """What an invite token asks for; it is thereby used up. Raises TokenError."""
        found = self._read(token, unix_s, _Invite)
        self._use(found.jti, found.exp, unix_s)
        return InviteOrder(found.room, found.role, found.uses, found.valid_s)

    def _sign(self, claims: _Join | _Feed | _Invite) -> str:
        token = jwt.encode({"alg": ALGORITHM}, msgspec.to_builtins(claims), self._key, algorithms=[ALGORITHM])
        assert len(token) <= TOKEN_CHARS_MAX
        return token

    def _read(self, token: str, unix_s: float, kind: type[_Kind]) -> _Kind:
        """Size, signature, audience, shape and times, in this order."""
        if len(token) > TOKEN_CHARS_MAX:
            raise TokenError("token", f"a token has {len(token)} characters, allowed is {TOKEN_CHARS_MAX}")
        try:
            found = jwt.decode(token, self._key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, RecursionError):
            raise TokenError("token", "the token is not signed by this server") from None
        if found.get("aud") != _AUDIENCE[kind]:
            raise TokenError("token-audience", f"the token is not a {_AUDIENCE[kind]} token")
        try:
            claims = msgspec.convert(found, kind)
        except msgspec.ValidationError:
            raise TokenError("token", "the token lacks a claim or has one too many") from None
        if not claims.iat - CLOCK_SKEW_S <= unix_s < claims.exp:
            raise TokenError("token-expired", "the token is too old: open the link again")
        return claims

    def _use(self, jti: str, exp: int, unix_s: float) -> None:
        """Note a token as used until it expires. When the table is full nobody comes in, rather than somebody twice."""
        while self._seen and next(iter(self._seen.values())) <= unix_s:
            self._seen.popitem(last=False)
        if jti in self._seen:
            raise TokenError("token-used", "this token was used before: open the link again")
        if len(self._seen) >= self._seen_max:
            raise TokenError("token-used", f"{self._seen_max} people joined within a minute: try again shortly")
        self._seen[jti] = exp
