"""What every HTTP request meets first: rate limits by address, body limits, security headers, and plain error answers.

Owns the Content-Security-Policy. Never logs a path's query, a token or a body.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from aiohttp import web

from server.clock import Clock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ADDRESSES_MAX = 4096
BODY_S = 10.0
HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:]{2,45}\](:[0-9]{1,5})?")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; connect-src 'self'{socket}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), xr-spatial-tracking=(self), gamepad=(self), "
    "geolocation=(), payment=(), usb=()",
    "Server": "asclepion",
}


class Bucket(NamedTuple):
    """What one address has left, as of a moment."""

    left: float
    at_s: float


class Rate:
    """So many requests a second from one address, twice that at once; the longest silent address is forgotten first."""

    def __init__(self, per_s: float, clock: Clock) -> None:
        self.per_s, self._clock = per_s, clock
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, address: str) -> bool:
        """True if this request is within the rate."""
        now_s, burst = self._clock.monotonic_s(), 2 * self.per_s
        old = self._buckets.pop(address, Bucket(burst, now_s))
        left = min(burst, old.left + (now_s - old.at_s) * self.per_s)
        good = left >= 1.0
        self._buckets[address] = Bucket(left - 1.0 if good else left, now_s)
        while len(self._buckets) > ADDRESSES_MAX:
            self._buckets.popitem(last=False)
        return good


def policy(host: str, secure: bool) -> str:
    """The Content-Security-Policy for a page asked for under this Host header."""
    socket = f" {'wss' if secure else 'ws'}://{host}" if HOST.fullmatch(host) else ""
    return POLICY.format(socket=socket)


def refusal(status: int, code: str, text: str) -> web.Response:
    """An error as JSON {"code","text"}."""
    body = msgspec.json.encode({"code": code, "text": text})
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "1"} if status == 429 else {})
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def read_body(request: web.Request, bytes_max: int) -> bytes:
    """The body; raises HTTPRequestEntityTooLarge beyond `bytes_max` and HTTPRequestTimeout when it comes too slowly."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > bytes_max:
                    raise web.HTTPRequestEntityTooLarge(bytes_max, len(body))
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(body)


WORDS = {
    400: ("bad-request", "the request could not be understood"),
    404: ("not-found", "there is nothing under this address"),
    405: ("method", "this address does not take that method"),
    408: ("timeout", "the body came too slowly"),
    413: ("too-large", "the body is larger than allowed"),
}


@web.middleware
async def harden(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Add the security headers to every answer and turn refusals of the framework into ours."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = refusal(error.status, *WORDS.get(error.status, ("refused", error.reason)))
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    if not response.prepared:
        dress(request, response)
    return response


def dress(request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on an answer that is not sent yet."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", policy(request.host, request.secure))
    if request.secure:
        response.headers.setdefault("Strict-Transport-Security", "max-age=86400")


def origin_allowed(request: web.Request, allowed: tuple[str, ...]) -> bool:
    """Whether a WebSocket may be opened: from our own pages, a configured origin, or by no browser."""
    origin = request.headers.get("Origin")
    own = f"{'https' if request.secure else 'http'}://{request.host}"
    return origin is None or origin == own or origin in allowed
