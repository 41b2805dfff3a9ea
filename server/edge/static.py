"""The built web client in memory: every file once, with the compressed forms the build left beside it.

Owns what is sent for a path: bytes, type, caching, entity tag. Reads the folder once, at start; never touches the disk
again and never compresses.
"""

import hashlib
import mimetypes
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

PACKAGED = Path(__file__).parent / "static"
CHECKOUT = Path(__file__).parents[2] / "clients/web/dist"
FILES_MAX, BYTES_MAX = 1000, 64 * 1024 * 1024
FOREVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
TYPES = {".js": "text/javascript", ".wasm": "application/wasm", ".glb": "model/gltf-binary", ".svg": "image/svg+xml"}
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))  # best first


class ClientError(RuntimeError):
    """There is no usable web client; one line says what to do."""


class Asset(NamedTuple):
    """One file: its plain bytes, its compressed forms by encoding name."""

    plain: bytes
    packed: dict[str, bytes]
    kind: str
    caching: str
    tag: str


def client_folder() -> Path:
    """Where the built client is: inside an installed wheel, or in the checkout. Raises ClientError."""
    for folder in (PACKAGED, CHECKOUT):
        if (folder / "index.html").is_file():
            return folder
    raise ClientError("the web client is not built: run `make run`, or `python hatch_build.py` in the checkout")


def load_assets(folder: Path) -> dict[str, Asset]:
    """Every file below `folder` by its path from there ("assets/x.js"); dot files and compressed twins are no names."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    if len(paths) > FILES_MAX or sum(path.stat().st_size for path in paths) > BYTES_MAX:
        raise ClientError(f"{folder} has more than {FILES_MAX} files or {BYTES_MAX >> 20} MiB: is it the built client?")
    twins = tuple(ending for _, ending in ENCODINGS)
    return {path.relative_to(folder).as_posix(): _asset(folder, path) for path in paths if path.suffix not in twins}


def _asset(folder: Path, path: Path) -> Asset:
    plain = path.read_bytes()
    twins = {name: path.with_name(path.name + ending) for name, ending in ENCODINGS}
    packed = {name: twin.read_bytes() for name, twin in twins.items() if twin.is_file()}
    hashed = path.relative_to(folder).parts[0] == "assets"  # the build puts a hash of the content into these names
    kind = TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    tag = '"' + hashlib.sha256(plain).hexdigest()[:32] + '"'
    return Asset(plain, packed, kind, FOREVER if hashed else ASK_AGAIN, tag)


def accepted(header: str) -> set[str]:
    """The codings an Accept-Encoding header allows (q above 0); malformed parts are passed over."""
    allowed = set()
    for part in header.lower().split(","):
        name, *settings = (piece.strip() for piece in part.split(";"))
        quality = next((piece[2:] for piece in settings if piece.startswith("q=")), "1")
        if quality.strip("0.") or quality == "1":
            allowed.add(name)
    return allowed


def answer(request: web.Request, asset: Asset) -> web.Response:
    """The response for one asset: 304 if the browser has it, else the smallest form it takes."""
    headers = {"ETag": asset.tag, "Cache-Control": asset.caching, "Vary": "Accept-Encoding"}
    if asset.tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    allowed = accepted(request.headers.get("Accept-Encoding", ""))
    for name, _ in ENCODINGS:
        if name in allowed and name in asset.packed:
            headers["Content-Encoding"] = name
            return web.Response(body=asset.packed[name], content_type=asset.kind, headers=headers)
    charset = "utf-8" if asset.kind.startswith("text/") else None
    return web.Response(body=asset.plain, content_type=asset.kind, charset=charset, headers=headers)
