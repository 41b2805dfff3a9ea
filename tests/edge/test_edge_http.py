"""Pages, questions, log files and the admin port over real HTTP."""

import asyncio

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from server.clock import ManualClock
from server.config import Limits
from server.edge.guard import ADDRESSES_MAX, HOST, Rate, policy
from server.edge.log_files import NAME
from server.edge.static import ClientError, accepted, load_assets


def get(visiting, path, headers=None, **settings):
    """Status, headers and body of one GET; redirects are not followed."""

    async def story():
        async with visiting(wait=False, **settings) as visit:
            url = URL(visit.edge.url + path, encoded=True)  # as it is, dots and all
            answer = await visit.http.get(url, headers=headers, allow_redirects=False)
            return answer.status, answer.headers, await answer.read()

    return asyncio.run(story())


def post(visiting, path, body, headers=None, wait=True, **settings):
    async def story():
        async with visiting(wait=wait, **settings) as visit:
            answer = await visit.http.post(visit.edge.url + path, data=body, headers=headers or {})
            return answer.status, answer.headers, await answer.read()

    return asyncio.run(story())


JSON = {"Content-Type": "application/json"}


def test_the_front_door_leads_to_the_lobby(visiting):
    status, headers, _ = get(visiting, "/")
    assert (status, headers["Location"]) == (302, "/r/lobby")


@pytest.mark.parametrize(
    ("wanted", "coding", "body"),
    [
        ("br, gzip", "br", b"brotli form"),
        ("gzip, deflate", "gzip", b"gzip form"),
        ("br;q=0, gzip;q=0.5", "gzip", b"gzip form"),
        ("identity", None, b"<!doctype html><title>plain</title>"),
    ],
)
def test_the_page_comes_in_the_best_form_the_browser_takes(visiting, wanted, coding, body):
    status, headers, got = get(visiting, "/r/ward", {"Accept-Encoding": wanted})
    assert (status, headers.get("Content-Encoding"), got) == (200, coding, body)
    assert headers["Cache-Control"] == "no-cache" and headers["Vary"] == "Accept-Encoding"


def test_a_page_that_did_not_change_is_not_sent_again(visiting):
    _, headers, _ = get(visiting, "/r/ward")
    status, _, body = get(visiting, "/r/ward", {"If-None-Match": headers["ETag"]})
    assert (status, body) == (304, b"")


def test_hashed_assets_are_kept_for_ever(visiting):
    status, headers, _ = get(visiting, "/assets/main-abc123.js")
    assert status == 200 and "immutable" in headers["Cache-Control"]
    assert headers["Content-Type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    ["/.sources", "/index.html.br", "/assets/../.sources", "/assets/%2e%2e/.sources", "/r/UP", "/r/..%2fx", "/nothing"],
)
def test_what_is_no_page_is_not_found(visiting, path):
    status, headers, body = get(visiting, path)
    assert status == 404 and msgspec.json.decode(body)["code"] == "not-found"
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_every_answer_carries_the_security_headers(visiting):
    for path in ("/", "/r/ward", "/healthz", "/log/checkpoint"):
        _, headers, _ = get(visiting, path)
        rules = headers["Content-Security-Policy"]
        assert "unsafe" not in rules and "script-src 'self';" in rules and "frame-ancestors 'none'" in rules
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"


@given(st.text(max_size=80))
def test_a_host_header_cannot_write_into_the_policy(host):
    rules = policy(host, True)
    assert rules.count(";") == policy("ward.example", True).count(";")
    assert (f"wss://{host};" in rules) == bool(HOST.fullmatch(host))


@given(st.text(max_size=200))
def test_any_accept_encoding_is_read_without_error(header):
    assert isinstance(accepted(header), set)


def test_a_client_that_is_not_there_is_said_so(tmp_path):
    (tmp_path / "many").mkdir()
    for number in range(1001):
        (tmp_path / "many" / f"{number}.txt").touch()
    with pytest.raises(ClientError, match="more than 1000 files"):
        load_assets(tmp_path)


def test_health_tells_whether_one_can_come_in(visiting, shard):
    async def story():
        async with visiting() as visit:
            statuses = [(await visit.http.get(visit.edge.url + "/healthz")).status]
            await asyncio.to_thread(shard.stop)
            await visit.until(lambda: not visit.edge.exchange.linked)
            return [*statuses, (await visit.http.get(visit.edge.url + "/healthz")).status]

    assert asyncio.run(story()) == [200, 503]


@pytest.mark.parametrize("kind", ["who", "redeem"])
def test_questions_of_the_join_page_reach_the_shard(visiting, shard, kind):
    status, headers, body = post(visiting, f"/api/{kind}", b'{"room":"ward"}', JSON)
    assert (status, msgspec.json.decode(body)["kind"]) == (200, kind)
    assert headers["Cache-Control"] == "no-store"
    asked = [one for one in shard.heard if hasattr(one, "body")]
    assert [(one.kind, one.body) for one in asked] == [(kind, b'{"room":"ward"}')]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{}", {"Content-Type": "text/plain"}, 415, "media-type"),
        (b"x" * 5000, JSON, 413, "too-large"),
    ],
)
def test_a_question_of_the_wrong_form_is_refused_here(visiting, shard, body, headers, status, code):
    got, _, answer = post(visiting, "/api/who", body, headers)
    assert (got, msgspec.json.decode(answer)["code"]) == (status, code)
    assert not [one for one in shard.heard if hasattr(one, "body")]


def test_without_a_shard_questions_are_answered_with_503(visiting):
    status, _, body = post(visiting, "/api/who", b"{}", JSON, wait=False)
    assert (status, msgspec.json.decode(body)["code"]) == (503, "not-open")


def test_one_address_can_ask_only_so_often(visiting, shard):
    async def story():
        async with visiting(limits=Limits(api_per_s=2.0)) as visit:
            statuses = []
            for _ in range(8):
                async with visit.http.post(visit.edge.url + "/api/who", data=b"{}", headers=JSON) as answer:
                    statuses.append((answer.status, answer.headers.get("Retry-After")))
            return statuses

    statuses = asyncio.run(story())
    assert statuses[0] == (200, None) and statuses[-1] == (429, "1")


def test_a_rate_recovers_with_time_and_remembers_a_bounded_number_of_addresses():
    clock = ManualClock()
    rate = Rate(2.0, clock)
    assert [rate.take("a") for _ in range(6)] == [True] * 4 + [False] * 2
    assert rate.take("b")
    clock.advance(1.0)
    assert [rate.take("a") for _ in range(3)] == [True, True, False]
    for number in range(ADDRESSES_MAX + 10):
        rate.take(str(number))
    assert len(rate._buckets) == ADDRESSES_MAX


# --- the log ----------------------------------------------------------------------------------------------------------


def test_public_files_of_the_log_are_served_and_nothing_beside_them(visiting, data):
    public = data / "ledger/public"
    (public / "tile/0/x001").mkdir(parents=True)
    (public / "tile/entries").mkdir()
    (public / "checkpoint").write_text("note")
    (public / "tile/0/x001/067").write_bytes(b"full")
    (public / "tile/entries/000.p").mkdir()
    (public / "tile/entries/000.p/7").write_bytes(b"part")
    (data / "ledger/key").write_text("secret")
    (public / "key").symlink_to(data / "ledger/key")
    status, headers, body = get(visiting, "/log/checkpoint")
    assert (status, headers["Cache-Control"], body) == (200, "no-store", b"note")
    status, headers, body = get(visiting, "/log/tile/0/x001/067")
    assert (status, body) == (200, b"full") and "immutable" in headers["Cache-Control"]
    assert get(visiting, "/log/tile/entries/000.p/7")[2] == b"part"
    for path in (
        "/log/../key",
        "/log/%2e%2e/key",
        "/log/key",
        "/log/tile/0/x001",
        "/log/tile/0/000",
        "/log//etc/passwd",
    ):
        assert get(visiting, path)[0] == 404, path


@given(st.from_regex(NAME, fullmatch=True))
def test_no_allowed_name_leads_out_of_the_directory(name):
    assert ".." not in name and not name.startswith("/") and "\0" not in name


# --- the admin port ---------------------------------------------------------------------------------------------------


def test_the_admin_port_tells_state_and_figures(visiting, shard):
    async def story():
        async with visiting() as visit, visit.ws():
            shard.soon(lambda: shard.wire.stats({"tick_ms_p99": 2.5, "Bad name": 1.0}))
            await visit.until(lambda: visit.edge.exchange.stats)
            texts = {}
            for path in ("livez", "readyz", "version", "metrics"):
                async with visit.http.get(f"{visit.edge.admin_url}/{path}") as answer:
                    assert answer.status == 200
                    texts[path] = (await answer.read()).decode()
            visit.edge.admin.draining = True
            async with visit.http.get(f"{visit.edge.admin_url}/readyz") as answer:
                assert answer.status == 503 and "stopping" in await answer.text()
            return texts

    texts = asyncio.run(story())
    assert "asclepion_edge_browsers 1.0" in texts["metrics"]
    assert "asclepion_edge_held_back_view_bytes_total 0.0" in texts["metrics"]
    assert "asclepion_shard_tick_ms_p99 2.5" in texts["metrics"] and "Bad name" not in texts["metrics"]
    assert '"protocol"' in texts["version"]


def test_an_edge_without_its_shard_is_alive_but_not_ready(visiting):
    async def story():
        async with visiting(wait=False) as visit:
            async with visit.http.get(visit.edge.admin_url + "/livez") as answer:
                assert answer.status == 200
            async with visit.http.get(visit.edge.admin_url + "/readyz") as answer:
                assert answer.status == 503 and "not linked to the shard" in await answer.text()
            async with visit.http.get(visit.edge.url + "/metrics") as answer:
                assert answer.status == 404

    asyncio.run(story())
