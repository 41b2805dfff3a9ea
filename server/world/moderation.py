"""Keeping the peace in a room: mute, unmute, remove, ban. Bans and mutes are by person, and survive a restart.

Owns the tables of bans and mutes.
"""

from server.world import doors, people
from server.world.commands import Moderate
from server.world.events import Removed, SessionOver
from server.world.tables import Refusal, Resident, Tables


def moderate(t: Tables, who: Resident, asked: Moderate) -> None:
    """Act on a person of the asker's room."""
    t.need(who, "moderate")
    other = t.resident_at(asked.who)
    if other is None or other.room != who.room:
        raise Refusal("no-such-avatar", f"nobody with avatar {asked.who} is in {t.room_of(who).slug}")
    if other is who:
        raise Refusal("not-oneself", "one cannot moderate oneself")
    if other.role == "operator" and who.role != "operator":
        raise Refusal("may-not-moderate", f"a {who.role} may not moderate an operator")
    if asked.act in ("mute", "unmute"):
        _mute(t, other, asked)
    else:
        _send_away(t, other, asked)


def _need_place(t: Tables, table: dict[bytes, str]) -> None:
    if len(table) >= t.limits.bans_max:
        raise Refusal("table-full", f"{len(table)} people are listed, more are not allowed")


def _mute(t: Tables, other: Resident, asked: Moderate) -> None:
    if asked.act == "mute" and not t.muted(other):
        _need_place(t, t.mutes)
        t.mutes[other.person] = asked.reason
    elif asked.act == "unmute":
        t.mutes.pop(other.person, None)
    doors.refresh_flags(t, other)
    t.tell_of(other)


def _send_away(t: Tables, other: Resident, asked: Moderate) -> None:
    if asked.act == "ban" and other.person not in t.bans:
        _need_place(t, t.bans)
        t.bans[other.person] = asked.reason
    t.tell(other.client, Removed(asked.act, asked.reason))
    people.end(t, other, "was removed")
    t.tell_shard(SessionOver(other.client, asked.act))
