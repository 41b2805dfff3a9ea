"""HTTPS with a certificate of the project's own making, and bad certificates."""

import asyncio
import ssl
from datetime import UTC, datetime

import pytest

from server.config import Config, ConfigError
from server.edge.process import tls_context
from server.edge.tls import TlsError, general_name, make


def test_a_headset_that_trusts_our_ca_gets_pages_and_websockets_over_tls(shard, visiting, data):
    make(data, ["ward.local", "192.0.2.7"], datetime.now(UTC))
    trust = ssl.create_default_context(cafile=str(data / "tls/ca.pem"))

    async def story():
        files = {"tls_certificate": str(data / "tls/server.pem"), "tls_key": str(data / "tls/server.key")}
        async with visiting(**files) as visit:
            assert visit.edge.url.startswith("https://127.0.0.1:")
            async with visit.http.get(visit.edge.url + "/r/ward", ssl=trust) as page:
                assert page.status == 200 and "wss://127.0.0.1" in page.headers["Content-Security-Policy"]
            async with visit.ws(ssl=trust, origin=visit.edge.url) as socket:
                await socket.send_bytes(b"\x80hi")
                assert (await socket.receive()).data == b"\x90\x80hi"

    asyncio.run(story())


def test_keys_are_for_their_owner_only(data):
    make(data, [], datetime.now(UTC))
    assert (data / "tls/server.key").stat().st_mode & 0o077 == 0
    assert not list((data / "tls").glob("ca.key*"))


@pytest.mark.parametrize("name", ["", "a b", "-a", "a-", "x" * 64, "a..b", "bad_host", "http://x"])
def test_a_name_no_certificate_can_hold_is_refused(name):
    with pytest.raises(TlsError, match="no host name and no IP address"):
        general_name(name)


def test_an_unusable_certificate_is_one_clear_line(data):
    with pytest.raises(ConfigError, match="No such file"):
        tls_context(Config(tls_certificate=str(data / "none.pem"), tls_key=str(data / "none.key")))
    (data / "junk.pem").write_text("junk")
    with pytest.raises(ConfigError, match="cannot be used"):
        tls_context(Config(tls_certificate=str(data / "junk.pem"), tls_key=str(data / "junk.pem")))
