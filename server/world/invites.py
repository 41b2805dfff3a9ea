"""Invites: codes with a room, a role, an expiry and a number of uses.

Owns the invite table and the world's notion of Unix time: no clock, only the time that commands told, and ticks.
"""

from server.world.commands import MakeInvite, Redeem, RevokeInvite, SetInvite
from server.world.events import InviteMade, Redeemed
from server.world.policy import INVITABLE, may
from server.world.tables import Invite, Refusal, Resident, Tables

GRACE_S = 300  # an invite that is over is kept this long, for joins under way
UNKNOWN_EXPIRY_S = (1 << 53) - 1


def know_time(t: Tables, now_s: int) -> None:
    """A command told the Unix time. Invites made before any did now get theirs."""
    t.unix_at_zero = now_s - t.tick // t.tick_hz
    for invite in t.invites.values():
        if invite.made_tick >= 0:
            invite.expires_s = t.unix_at_zero + invite.made_tick // t.tick_hz + invite.valid_s
            invite.made_tick = -1


def make(t: Tables, who: Resident, asked: MakeInvite) -> None:
    """A member of staff asks for an invite to a room."""
    index = t.room_index.get(asked.room)
    if index is None:
        raise Refusal("no-such-room", f"there is no room {asked.room}, allowed are: {', '.join(t.room_index)}")
    if not may(who.role, "invite", t.rooms[index]):
        raise Refusal("may-not-invite", f"a {who.role} may not invite to {asked.room}")
    if asked.role not in INVITABLE[who.role]:
        allowed = ", ".join(sorted(INVITABLE[who.role]))
        raise Refusal("may-not-invite", f"a {who.role} may not invite a {asked.role}, allowed are: {allowed}")
    if not may(asked.role, "enter", t.rooms[index]):
        raise Refusal("may-not-enter", f"a {asked.role} may not enter {asked.room}")
    if not asked.code or asked.code in t.invites:
        raise Refusal("bad-code", "the code is empty or taken: ask again")
    _need_place(t)
    invite = Invite(asked.room, asked.role, asked.uses, UNKNOWN_EXPIRY_S, who.person, t.tick, asked.valid_s)
    t.invites[asked.code] = invite
    if t.unix_at_zero >= 0:
        know_time(t, t.unix_at_zero + t.tick // t.tick_hz)
    t.tell(who.client, InviteMade(asked.seq, asked.code, asked.room, asked.role, asked.uses, asked.valid_s))


def _need_place(t: Tables) -> None:
    """Refuse if the table is full of invites that still count."""
    if len(t.invites) < t.limits.invites_max:
        return
    if t.unix_at_zero >= 0:
        over = t.unix_at_zero + t.tick // t.tick_hz - GRACE_S
        for code in [code for code, invite in t.invites.items() if invite.expires_s <= over]:
            del t.invites[code]
    if len(t.invites) >= t.limits.invites_max:
        raise Refusal("too-many-invites", f"{len(t.invites)} invites are open, more are not allowed")


def set_invite(t: Tables, asked: SetInvite) -> None:
    """The shard's own invite; the same code again replaces it."""
    if asked.room not in t.room_index:
        raise Refusal("no-such-room", f"there is no room {asked.room}")
    if asked.code not in t.invites:
        _need_place(t)
    t.invites[asked.code] = Invite(asked.room, asked.role, asked.uses, asked.expires_s)


def revoke(t: Tables, who: Resident, asked: RevokeInvite) -> None:
    """An invite is worthless from now on. Its maker may do that, and an operator."""
    invite = t.invites.get(asked.code)
    mine = invite is not None and invite.by == who.person
    if not mine and who.role != "operator":
        raise Refusal("may-not-revoke", "only an operator may withdraw an invite made by somebody else")
    if invite is None:
        raise Refusal("no-such-invite", "there is no invite with that code")
    del t.invites[asked.code]


def redeem(t: Tables, asked: Redeem) -> None:
    """Use an invite once; the answer goes to the shard."""
    know_time(t, asked.now_s)
    invite = t.invites.get(asked.code)
    try:
        _check(t, asked, invite)
    except Refusal as refusal:
        t.tell_shard(Redeemed(asked.request, False, "", None, asked.name, asked.person, refusal.code, str(refusal)))
        return
    assert invite is not None, "an invite that passed the check is in the table"
    invite.uses -= 1
    t.tell_shard(Redeemed(asked.request, True, invite.room, invite.role, asked.name, asked.person, asked.code, ""))


def _check(t: Tables, asked: Redeem, invite: Invite | None) -> None:
    if asked.person in t.bans:
        raise Refusal("banned", "this person is banned from this house")
    if invite is None or invite.room != asked.room:
        raise Refusal("invite-unknown", "this link is not valid here (any more): ask for a new one")
    if invite.expires_s <= asked.now_s:
        raise Refusal("invite-expired", "this link is no longer valid: ask for a new one")
    if invite.uses < 1:
        raise Refusal("invite-used", "this link was used as often as it may be: ask for a new one")
    if not asked.name.isprintable() or not asked.name.strip():
        raise Refusal("bad-name", "a name has 1 to 40 printable characters")
