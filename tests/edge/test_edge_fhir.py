"""The form of a FHIR post: every refusal is an OperationOutcome, and none quotes the body."""

import asyncio

import msgspec
import pytest

from server.config import Limits

FHIR = {"Content-Type": "application/fhir+json", "Authorization": "Bearer token"}


def posts(visiting, requests, **settings):
    async def story():
        async with visiting(wait=False, **settings) as visit:
            got = []
            for headers, body in requests:
                answer = await visit.http.post(f"{visit.edge.url}/fhir/Observation", data=body, headers=headers)
                got.append((answer.status, answer.headers, await answer.read()))
            return got

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"Content-Type": "application/fhir+json"}, b"{}", 401, "login"),
        (FHIR | {"Authorization": "Basic dTpw"}, b"{}", 401, "login"),
        (FHIR | {"Authorization": "Bearer "}, b"{}", 401, "login"),
        (FHIR | {"Content-Type": "text/xml"}, b"<Observation/>", 415, "not-supported"),
        (FHIR, b'"Smith"' + b" " * 40_000, 413, "too-long"),
    ],
)
def test_a_post_of_the_wrong_form_is_refused_with_an_outcome(visiting, headers, body, status, code):
    [(got, said, answer)] = posts(visiting, [(headers, body)])
    assert got == status and said["Content-Type"] == "application/fhir+json"
    outcome = msgspec.json.decode(answer)
    assert outcome["resourceType"] == "OperationOutcome"
    assert [(issue["severity"], issue["code"]) for issue in outcome["issue"]] == [("error", code)]
    assert b"Smith" not in answer
    assert ("WWW-Authenticate" in said) == (status == 401)


def test_one_address_can_post_only_so_often(visiting):
    got = posts(visiting, [({}, b"")] * 6, limits=Limits(fhir_per_s=1.0))
    assert [status for status, _, _ in got][:2] == [401, 401] and got[-1][0] == 429
    assert msgspec.json.decode(got[-1][2])["issue"][0]["code"] == "throttled" and got[-1][1]["Retry-After"] == "1"
