"""FHIR OperationOutcome: how the FHIR endpoint says what went wrong.

Owns its JSON form (FHIR R4, OperationOutcome). The text names fields and limits, never a value from the body.
"""

import msgspec
from aiohttp import web

FHIR_JSON = "application/fhir+json"
CODES = {
    400: "invalid", 401: "login", 404: "not-found", 405: "not-supported", 408: "timeout", 413: "too-long",
    415: "not-supported", 422: "processing", 429: "throttled", 503: "transient",
}  # fmt: skip


def outcome(status: int, text: str, field: str = "", code: str = "") -> web.Response:
    """A response whose body is an OperationOutcome with one issue; a success has severity information.

    `field` is a FHIRPath, `code` a FHIR issue type when the status alone does not say it.
    """
    good = status < 400
    issue: dict[str, object] = {
        "severity": "information" if good else "error",
        "code": "informational" if good else code or CODES.get(status, "processing"),
        "diagnostics": text,
    }
    if field:
        issue["expression"] = [field]
    body = msgspec.json.encode({"resourceType": "OperationOutcome", "issue": [issue]})
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="asclepion feed"'
    if status in (429, 503):
        headers["Retry-After"] = "1"
    return web.Response(status=status, body=body, headers=headers | {"Content-Type": FHIR_JSON})
