"""Who may do what: the one place where roles meet rights. A room's file narrows the house table, it never widens it.

Owns `TABLE` and `may`. Every command that needs a right asks here.
"""

from typing import Literal

from server.world.commands import ROLES, Role
from server.world.scene import Room

Right = Literal["enter", "speak", "see_twin", "order", "acknowledge", "grab", "moderate", "admit", "invite"]
RIGHTS: tuple[Right, ...] = (
    "enter", "speak", "see_twin", "order", "acknowledge", "grab", "moderate", "admit", "invite",
)  # fmt: skip
SHOWN_RIGHTS: tuple[Right, ...] = ("speak", "see_twin", "order", "grab", "moderate", "admit", "invite")

TABLE: dict[Role, frozenset[Right]] = {
    "patient": frozenset({"enter", "speak", "grab"}),
    "clinician": frozenset(RIGHTS),
    "carer": frozenset({"enter", "speak", "grab"}),
    "student": frozenset({"enter", "speak", "see_twin", "grab"}),
    "observer": frozenset({"enter", "speak", "grab"}),
    "operator": frozenset({"enter", "speak", "grab", "moderate", "admit", "invite"}),
}
"""The most each role may ever do in this house."""

INVITABLE: dict[Role, frozenset[Role]] = {
    "clinician": frozenset({"patient", "carer", "student", "observer"}),
    "operator": frozenset(ROLES),
}
"""Whom each role that may invite at all may invite."""


def granted(room: Room, right: Right) -> list[Role]:
    """The roles a room's file grants a right to. Acknowledging needs sight of the twin, inviting entry."""
    match right:
        case "enter":
            return room.enter
        case "speak":
            return room.speak
        case "see_twin" | "acknowledge":
            return room.see_twin
        case "order":
            return room.order
        case "grab":
            return room.grab
        case "moderate":
            return room.moderate
        case "admit" | "invite":
            return room.enter


def may(role: Role, right: Right, room: Room) -> bool:
    """Whether a role has a right in a room."""
    return right in TABLE[role] and role in granted(room, right)


def must_wait(role: Role, room: Room) -> bool:
    """Whether a role that may enter must first be admitted."""
    return bool(room.waiting_room) and role not in room.admit_free


def may_admit(role: Role, room: Room) -> bool:
    """Whether a role may let waiting people into the room; who must wait there themselves may not."""
    return may(role, "admit", room) and not must_wait(role, room)


def rights_of(role: Role, room: Room) -> list[str]:
    """What a client is told it may do in a room."""
    return [right for right in SHOWN_RIGHTS if may(role, right, room)]


def who_may(right: Right, room: Room) -> str:
    """The roles that have a right in a room, for messages."""
    return ", ".join(role for role in ROLES if may(role, right, room)) or "nobody"
