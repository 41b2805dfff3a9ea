"""The ledger's public files under /log/: read-only, by the names a log has and no others.

Owns the table of allowed names. A path that is not in it is not looked up, so none can lead out of the directory.
"""

import re
from pathlib import Path

from aiohttp import web

NAME = re.compile(r"checkpoint|vkey|tile/(?:[0-9]{1,2}|entries)(?:/x[0-9]{3}){0,6}/[0-9]{3}(?:\.p/[0-9]{1,3})?")
FOREVER, NEVER = "public, max-age=31536000, immutable", "no-store"


def serve(request: web.Request, public: Path) -> web.StreamResponse:
    """One public file. Tiles never change; checkpoint and vkey are asked for again each time."""
    name = request.match_info["name"]
    if not NAME.fullmatch(name) or not (public / name).is_file():
        raise web.HTTPNotFound
    tile = name.startswith("tile/")
    headers = {
        "Cache-Control": FOREVER if tile else NEVER,
        "Content-Type": "application/octet-stream" if tile else "text/plain; charset=utf-8",
        "Access-Control-Allow-Origin": "*",  # a log is there to be checked by anybody
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return web.FileResponse(public / name, headers=headers)
