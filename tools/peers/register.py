"""Everybody who takes part: the peers and ourselves, by the names of the command.

Owns the list. What a run is, is theirs.
"""

from functools import partial

from tools.peers import ours
from tools.peers.entrants import ENTRANTS, run
from tools.peers.rounds import Run

WAYS = (ours.NATIVE, ours.EDGE, ours.WHOLE)
SMALLEST_ROOM: dict[str, int] = {way.name: way.rooms_from for way in WAYS}
RUNNERS: dict[str, Run] = {
    **{way.name: partial(ours.run, way) for way in WAYS},
    **{entrant.name: partial(run, entrant) for entrant in ENTRANTS},
}
NAMES: dict[str, str] = {party.name: party.what for party in (*WAYS, *ENTRANTS)}


def chosen(only: str) -> list[str]:
    """The names asked for; "ours" is all of ours. Raises ValueError."""
    asked = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in asked if name not in RUNNERS and name != "ours"]
    if unknown:
        raise ValueError(f"no server is called {unknown[0]}: there are ours, {', '.join(RUNNERS)}")
    return [name for name in RUNNERS if not asked or name in asked or ("ours" in asked and name.startswith("ours"))]
