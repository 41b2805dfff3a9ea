"""Tokens: who made them, for whom, for how long, and only once."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from server.config import Limits
from server.net import keys, token
from server.net.addresses import PATH_BYTES_MAX, addresses
from server.net.token import Claims, TokenDesk, TokenError

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PERSON = bytes(16)
CLAIMS = Claims("ward", "clinician", "Zoë", PERSON, "x" * 40, "code")
NOW = 1_800_000_000.0


def desk(**limits: object) -> TokenDesk:
    return TokenDesk(KEY, Limits(**limits))


def signed(claims: dict[str, object], key: object = None) -> str:
    ours = OKPKey.import_key(token._jwk(KEY))
    return jwt.encode({"alg": "EdDSA"}, claims, key or ours, algorithms=["EdDSA"])


def good() -> dict[str, object]:
    return {
        "iss": "asclepion", "jti": "j" * 22, "iat": int(NOW), "exp": int(NOW) + 60, "aud": "join", "room": "ward",
        "role": "clinician", "name": "Zoë",
    }  # fmt: skip


def refused(text: str, at: float = NOW, by: TokenDesk | None = None) -> str:
    with pytest.raises(TokenError) as refusal:
        (by or desk()).verify_join(text, at)
    assert len(text) < 40 or text[:40] not in str(refusal.value)
    return refusal.value.code


@pytest.mark.parametrize("claims", [CLAIMS, Claims("lobby", "patient", "a")])
def test_what_was_minted_is_what_is_read(claims: Claims) -> None:
    assert desk().verify_join(desk().mint_join(claims, NOW), NOW + 59) == claims


def test_a_token_is_good_once() -> None:
    one = desk()
    text = one.mint_join(CLAIMS, NOW)
    one.verify_join(text, NOW)
    assert refused(text, NOW + 1, one) == "token-used"


def test_a_token_is_good_for_its_time_only() -> None:
    text = desk(token_valid_s=60.0).mint_join(CLAIMS, NOW)
    assert refused(text, NOW + 60) == "token-expired"
    assert refused(text, NOW - 6) == "token-expired"


def test_a_full_table_lets_nobody_in_until_tokens_expire() -> None:
    one = desk(tokens_seen_max=2)
    for _ in range(2):
        one.verify_join(one.mint_join(CLAIMS, NOW), NOW)
    assert refused(one.mint_join(CLAIMS, NOW), NOW, one) == "token-used"
    assert one.verify_join(one.mint_join(CLAIMS, NOW + 61), NOW + 61) == CLAIMS


def test_another_key_or_algorithm_is_refused() -> None:
    stranger = OKPKey.generate_key("Ed25519")
    assert refused(signed(good(), stranger)) == "token"
    public = KEY.public_key().public_bytes_raw()
    confused = jwt.encode({"alg": "HS256"}, good(), OctKey.import_key(public), algorithms=["HS256"])
    assert refused(confused) == "token"
    body = base64.urlsafe_b64encode(json.dumps(good()).encode()).rstrip(b"=").decode()
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    assert refused(f"{none}.{body}.") == "token"
    assert desk().verify_join(signed(good()), NOW).name == "Zoë"


@pytest.mark.parametrize(
    "changed",
    [{"iss": "other"}, {"role": "owner"}, {"room": "../etc"}, {"name": ""}, {"exp": "1"}, {"jti": "short"},
     {"extra": 1}, {"cnf": {"curve": "x"}}, {"cnf": {}}, {"person": "x"}, {"exp": None}],
)  # fmt: skip
def test_claims_are_held_to_their_shape(changed: dict[str, object]) -> None:
    assert refused(signed(good() | changed)) == "token"


@pytest.mark.parametrize("missing", ["iss", "jti", "iat", "exp", "room", "role", "name"])
def test_no_claim_may_be_missing(missing: str) -> None:
    assert refused(signed({k: v for k, v in good().items() if k != missing})) == "token"


def test_a_feed_token_opens_its_bed_only_and_no_door() -> None:
    one = desk()
    text = one.mint_feed("ward/bed-1", NOW)
    one.verify_feed(text, "ward/bed-1", NOW + 86_399)
    one.verify_feed(text, "ward/bed-1", NOW)
    assert refused(text) == "token-audience"
    for bed, at, code in (("ward/bed-2", NOW, "token-audience"), ("ward/bed-1", NOW + 86_400, "token-expired")):
        with pytest.raises(TokenError) as refusal:
            one.verify_feed(text, bed, at)
        assert refusal.value.code == code
    with pytest.raises(TokenError):
        one.verify_feed(one.mint_join(CLAIMS, NOW), "ward/bed-1", NOW)


def test_a_long_text_is_not_even_parsed() -> None:
    assert refused("x" * 1025) == "token"


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
@settings(max_examples=300, deadline=None)
def test_no_text_whatever_raises_anything_but_a_token_error(text: str) -> None:
    refused(text)


@given(st.integers(0, 400), st.characters())
@settings(max_examples=300, deadline=None)
def test_a_changed_token_is_refused(place: int, character: str) -> None:
    text = desk().mint_join(CLAIMS, NOW)
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    try:
        assert desk().verify_join(changed, NOW) == CLAIMS  # base64 has spare bits: another spelling of the same bytes
    except TokenError:
        return


def test_the_largest_token_fits_into_a_hello() -> None:
    text = desk().mint_join(Claims("r" * 40, "clinician", "🧑" * 40, PERSON, "c" * 40, "i" * 64), NOW)
    assert len(text) <= 1024


def test_keys_are_made_once_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    made = [keys.load_or_make_secret(folder, "shard") for _ in range(2)]
    assert made[0] == made[1] and len(made[0]) == 32
    assert keys.load_or_make_token_key(folder).private_bytes_raw() == (folder / "token.key").read_bytes()
    pair = keys.load_or_make_curve(folder)
    assert pair == keys.load_or_make_curve(folder) and len(pair.public) == len(pair.secret) == 40
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert sorted(path.name for path in folder.iterdir()) == ["curve.key", "shard.key", "token.key"]


def test_a_key_that_others_may_read_or_that_is_damaged_is_refused(tmp_path: Path) -> None:
    keys.load_or_make_secret(tmp_path, "shard")
    path = tmp_path / "shard.key"
    path.chmod(0o640)
    with pytest.raises(PermissionError, match="0600"):
        keys.load_or_make_secret(tmp_path, "shard")
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="has 5 bytes, it must have 32"):
        keys.load_or_make_secret(tmp_path, "shard")
    (tmp_path / "curve.key").write_bytes(b"\xff" * 40)
    (tmp_path / "curve.key").chmod(0o600)
    with pytest.raises(ValueError, match="no CURVE key"):
        keys.load_or_make_curve(tmp_path)


def test_sockets_live_in_the_data_directory_or_in_a_private_folder_when_its_path_is_long(tmp_path: Path) -> None:
    short = addresses(tmp_path)
    assert short.edge == f"ipc://{tmp_path}/run/edge.ipc" and short == addresses(tmp_path)
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    long = addresses(deep)
    assert max(len(os.fsencode(a.removeprefix("ipc://"))) for a in long) <= PATH_BYTES_MAX
    folder = Path(long.edge.removeprefix("ipc://")).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert long == addresses(deep) != addresses(deep / "other")
    folder.rmdir()
    Path(addresses(deep / "other").edge.removeprefix("ipc://")).parent.rmdir()
