"""PROTOCOL.md says what the code does."""

import re

from server.config import Limits
from server.net import link, protocol, session
from server.net.token import TOKEN_CHARS_MAX
from server.sim.rotation import IDENTITY
from tools import protocol_doc

PAGE = protocol_doc.PAGE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_code() -> None:
    assert set(re.findall(r"<!-- table (\S+) -->", PAGE)) == set(protocol_doc.TABLES)
    assert protocol_doc.rewritten(PAGE) == PAGE, "run python -m tools.protocol_doc"


def test_the_numbers_in_the_text_are_those_of_the_code() -> None:
    limits = Limits()
    for number in (limits.frame_bytes_max, limits.bytes_per_s, limits.outbound_bytes_max, limits.view_bytes_per_s):
        assert f"{number:,} bytes" in PAGE
    assert f"{limits.view_messages_per_s} frames) for each client" in PAGE
    assert f"{limits.messages_per_s} frames" in PAGE and f"first one {session.HELLO_BYTES_MAX}" in PAGE
    assert f"all for {limits.idle_timeout_s:g} s" in PAGE and f"{TOKEN_CHARS_MAX} characters" in PAGE
    assert f"{IDENTITY:#x}" in PAGE and protocol.SUBPROTOCOL in PAGE


def test_every_code_of_a_session_is_named() -> None:
    source = protocol_doc.PAGE.parent / "server" / "net" / "session.py"
    codes = set(re.findall(r'ProtocolError\("([a-z-]+)"', source.read_text(encoding="utf-8")))
    assert len(codes) >= 10
    assert not {code for code in codes if f"`{code}`" not in PAGE}


def test_types_have_words() -> None:
    assert {n: k for n, k, _ in protocol.fields_of(link.FromBrowsers)} == {
        "rows": "[(int 0..4294967295, bin)]", "conns": "bin", "poses": "bin",
    }  # fmt: skip
    assert protocol.fields_of(link.Stats) == [("values", "map of str, number", False)]
