"""POST /fhir/Observation: a FHIR R4 Observation of a device becomes data at a bed.

Owns form and size of the request; `server.twin.fhir` reads the resource, the shard checks the token and the bed. Every
refusal is an OperationOutcome. The body is never logged and never quoted.
"""

import base64

import msgspec
from aiohttp import web

from server.edge.exchange import Exchange, NoAnswer
from server.edge.guard import read_body
from server.edge.outcome import FHIR_JSON, outcome

BODY_BYTES_MAX = 40_000  # so that the question to the shard stays under its own 65,536
KINDS = frozenset({FHIR_JSON, "application/json"})


async def post(request: web.Request, exchange: Exchange) -> web.Response:
    """Check the request, read the Observation, hand it to the shard; 202 when the bed has taken it."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return outcome(401, "a feed token is needed: Authorization: Bearer TOKEN")
    if request.content_type not in KINDS:
        return outcome(415, f"the body has to be {FHIR_JSON}")
    try:
        body = await read_body(request, BODY_BYTES_MAX)
    except web.HTTPRequestEntityTooLarge:
        return outcome(413, f"the body is larger than {BODY_BYTES_MAX} bytes")
    except web.HTTPRequestTimeout:
        return outcome(408, "the body came too slowly")
    return await _hand_over(exchange, token.strip(), body)


async def _hand_over(exchange: Exchange, token: str, body: bytes) -> web.Response:
    from server.twin.fhir import FhirError, read_observation  # loaded with the first post: most edges never see one

    try:
        reading = read_observation(body)
    except FhirError as error:
        return outcome(422, error.diagnostics, error.expression, error.code)
    block = base64.b64encode(reading.block).decode()
    try:
        question = msgspec.json.encode({"authorization": token, "bed": reading.bed, "block": block})
        said = await exchange.ask("feed", question)
    except NoAnswer as error:
        return outcome(503, f"{error}: try again in a moment")
    return outcome(202, "taken") if said.status == 202 else outcome(said.status, _text(said.body))


def _text(body: bytes) -> str:
    said = msgspec.json.decode(body, type=dict[str, str])
    return said.get("text", "refused")
