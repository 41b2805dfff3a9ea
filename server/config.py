"""Every limit and rate of the house, frozen, checking its own relations. Reads no file, flag or environment variable.

Durations end in `_s`, sizes in `_max` or a unit. `Config` is what an operator sets; `Limits` is what keeps peers apart.
The text beside a type is what the command line, `config sample` and the README say about the field.
"""

from dataclasses import dataclass, field, fields
from typing import Annotated as Doc

LOG_LEVELS = ("debug", "info", "warning", "error")


class ConfigError(ValueError):
    """A setting is out of its allowed range; says what was got and what is allowed."""


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, allowed is {low} to {high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one peer, one room and one tick may cost."""

    avatars_max: Doc[int, "world-wide slots, at most 4096 (12 bits on the wire)"] = 2048
    rooms_max: Doc[int, "rooms of one shard, at most 256 (8 bits on the wire)"] = 64
    things_max: Doc[int, "things that can be grabbed, at most 1024 (10 bits on the wire)"] = 512
    view_people_max: Doc[int, "a room for more people than this is a hall, seen by cells"] = 64
    cell_mm: Doc[int, "side of a hall's cells, mm"] = 5_000
    heroes_max: Doc[int, "speakers of a hall whom everybody there sees as if they were near"] = 8
    own_heroes_max: Doc[int, "people of a hall one sees as if near: who one hands things to or has to do with"] = 4
    rewind_s: Doc[float, "reaching, touching and pointing are judged up to so long ago, when the person saw"] = 1.0
    frame_bytes_max: Doc[int, "one client frame, bytes"] = 16_384
    bytes_per_s: Doc[int, "per peer, sustained; burst is twice that"] = 64_000
    messages_per_s: Doc[int, "per peer, sustained; burst is twice that"] = 120
    inbound_queue_max: Doc[int, "frames waiting per peer"] = 64
    frames_per_tick_max: Doc[int, "frames of native clients read in one tick; the others wait"] = 16_384
    messages_per_tick_max: Doc[int, "frames of all clients that are no poses, read in one tick; the others wait"] = 2048
    view_bytes_per_s: Doc[int, "snapshots to one client, bytes; more is thinned, the nearest comes first"] = 62_500
    view_messages_per_s: Doc[int, "snapshots to one client, messages"] = 90
    room_bytes_per_s: Doc[int, "snapshots of one room to all its people together, bytes"] = 80_000_000
    far_parts: Doc[int, "ticks in which everybody in a hall is shown once from far, 1 to 255"] = 10
    outbound_bytes_max: Doc[int, "control frames waiting per peer, bytes; over it the peer is let go"] = 262_144
    hello_timeout_s: Doc[float, "seconds a fresh WebSocket has to say hello"] = 5.0
    hellos_per_tick: Doc[int, "hellos looked at in one tick; the others wait their turn"] = 8
    unverified_peers_max: Doc[int, "connections that have not said hello yet"] = 512
    idle_timeout_s: Doc[float, "no frame at all for so long: the connection counts as gone"] = 20.0
    seat_hold_s: Doc[float, "a seat is kept so long for who comes back"] = 60.0
    token_valid_s: Doc[float, "a join token is good for so long"] = 60.0
    tokens_seen_max: Doc[int, "used tokens remembered, so that none is used twice"] = 65_536
    input_hz: Doc[int, "poses a client sends in a second"] = 20
    speed_mm_s_max: Doc[int, "walking speed, mm/s"] = 2_200
    reach_mm_max: Doc[int, "hand from head, mm"] = 900
    hand_speed_mm_s_max: Doc[int, "hand relative to head, mm/s"] = 8_000
    teleport_mm_max: Doc[int, "one teleport, mm"] = 6_000
    grab_mm_max: Doc[int, "hand from the thing it grabs, mm"] = 1_000
    body_radius_mm: Doc[int, "of an avatar against walls, mm"] = 220
    personal_space_mm: Doc[int, "nobody is pushed closer than this, mm"] = 500
    wish_timeout_s: Doc[float, "a wish to move that is not renewed stops"] = 0.5
    invites_max: Doc[int, "invites alive at once"] = 4096
    bans_max: Doc[int, "people banned at once"] = 4096
    waiting_max: Doc[int, "people waiting before one room"] = 64
    pending_orders_max: Doc[int, "orders waiting for the ledger"] = 256
    gestures_per_s: Doc[float, "pointing and touching per person and second"] = 6.0
    chat_per_s: Doc[float, "chat lines per person and second"] = 2.0
    access_retry_s: Doc[float, "pause before a refused access entry is tried again"] = 3.0
    waves_hz: Doc[int, "wave blocks per second and bed"] = 10
    api_per_s: Doc[float, "questions of join pages per address, sustained; burst is twice that"] = 20.0
    fhir_per_s: Doc[float, "FHIR posts per address, sustained; burst is twice that"] = 50.0

    def __post_init__(self) -> None:
        """Check ranges; raises ConfigError."""
        for one in fields(self):
            value = getattr(self, one.name)
            if not value > 0:
                raise ConfigError(f"limits.{one.name} is {value}, allowed is anything above 0")
        _within("limits.avatars_max", self.avatars_max, 1, 4096)
        _within("limits.rooms_max", self.rooms_max, 1, 256)
        _within("limits.things_max", self.things_max, 1, 1024)
        _within("limits.far_parts", self.far_parts, 1, 255)
        _within("limits.cell_mm", self.cell_mm, 1_500, 64_000)
        _within("limits.rewind_s", self.rewind_s, 0.05, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What an operator sets: a flag, an ASCLEPION_ environment variable and a line of the TOML file each."""

    data: Doc[str, "directory for everything that is kept"] = "./data"
    tick_hz: Doc[int, "steps of the world per second, 20 to 90"] = 30
    keyframe_every: Doc[int, "ticks from one keyframe to the next, 2 to 30"] = 10
    seed: Doc[int, "of everything drawn by lot in the world"] = 1
    rooms: Doc[str, "folder with room files; empty is the demonstration hospital"] = ""
    demo: Doc[bool, "demonstration: bots on a ward round, links for every role"] = True
    demo_bots: Doc[int, "how many bots walk the demonstration, 0 to 50"] = 6
    edge_host: Doc[str, "address browsers reach"] = "127.0.0.1"
    edge_port: Doc[int, "port browsers reach; 0 takes any free one"] = 8080
    edges: Doc[int, "edge processes that share edge_port, 1 to 16; the admin port of each is one above the last"] = 1
    admin_host: Doc[str, "address of /livez /readyz /metrics /version"] = "127.0.0.1"
    admin_port: Doc[int, "port of /livez /readyz /metrics /version; 0 takes any free one"] = 8081
    native: Doc[str, "ZeroMQ endpoint of native clients"] = "tcp://127.0.0.1:7600"
    allowed_origins: Doc[tuple[str, ...], "origins besides the edge's own that may open a WebSocket"] = ()
    tls_certificate: Doc[str, "PEM file with the edge's certificate; empty is plain HTTP"] = ""
    tls_key: Doc[str, "PEM file with the certificate's private key"] = ""
    ledger_origin: Doc[str, "name of the log in its checkpoints"] = "localhost/asclepion"
    checkpoint_every_s: Doc[float, "seconds between checkpoints of the world on disk"] = 10.0
    journal_segments: Doc[int, "how many ten-minute pieces of the journal are kept, 2 to 10000"] = 6
    log_level: Doc[str, "debug, info, warning or error"] = "info"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Check ranges and relations; raises ConfigError."""
        _within("tick_hz", self.tick_hz, 20, 90)
        _within("keyframe_every", self.keyframe_every, 2, 30)
        _within("demo_bots", self.demo_bots, 0, 50)
        _within("journal_segments", self.journal_segments, 2, 10_000)
        _within("checkpoint_every_s", self.checkpoint_every_s, 0.1, 3600)
        for name in ("edge_port", "admin_port"):
            _within(name, getattr(self, name), 0, 65_535)
        _within("edges", self.edges, 1, 16)
        if self.edges > 1 and not self.edge_port:
            raise ConfigError("edge_port is 0, allowed for more than one edge is 1 to 65535")
        if self.edges > 1 and self.admin_port:
            _within("admin_port + edges - 1", self.admin_port + self.edges - 1, 0, 65_535)
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ConfigError("tls_certificate and tls_key go together: give both or neither")
        if self.log_level not in LOG_LEVELS:
            raise ConfigError(f"log_level is {self.log_level!r}, allowed is {', '.join(LOG_LEVELS)}")
        if not self.data:
            raise ConfigError("data is empty, allowed is the path of a directory")
