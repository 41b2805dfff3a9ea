"""Every limit and rate of the house, frozen, checking its own relations. Reads no file, flag or environment variable.

Durations end in `_s`, sizes in `_max` or a unit. `Config` is what an operator sets; `Limits` is what keeps peers apart.
"""

from dataclasses import dataclass, field


class ConfigError(ValueError):
    """A setting is out of its allowed range; says what was got and what is allowed."""


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, allowed is {low} to {high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one peer, one room and one tick may cost."""

    avatars_max: int = 1024  # world-wide slots, at most 4096 (12 bits on the wire)
    rooms_max: int = 64
    room_view_max: int = 64  # people in one view
    things_max: int = 512
    frame_bytes_max: int = 16_384  # one client frame
    bytes_per_s: int = 64_000  # per peer, sustained; burst is twice that
    messages_per_s: int = 120  # per peer, sustained; burst is twice that
    inbound_queue_max: int = 64  # frames waiting per peer
    outbound_bytes_max: int = 262_144  # control frames waiting per peer; over it the peer is too slow and is let go
    hello_timeout_s: float = 5.0
    hellos_per_tick: int = 20
    unverified_peers_max: int = 512
    idle_timeout_s: float = 20.0  # no frame at all from a client: its connection counts as gone
    seat_hold_s: float = 60.0
    token_valid_s: float = 60.0
    tokens_seen_max: int = 65_536
    input_hz: int = 20
    speed_mm_s_max: int = 2_200
    reach_mm_max: int = 900
    hand_speed_mm_s_max: int = 8_000
    teleport_mm_max: int = 6_000
    grab_mm_max: int = 1_000
    body_radius_mm: int = 220
    personal_space_mm: int = 500
    wish_timeout_s: float = 0.5  # a wish not renewed stops
    invites_max: int = 4096
    bans_max: int = 4096
    waiting_max: int = 64
    pending_orders_max: int = 256
    chat_per_s: float = 2.0
    access_retry_s: float = 3.0
    waves_hz: int = 10  # wave blocks per second


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What an operator sets: a flag, an ASCLEPION_ environment variable and a line of the TOML file each."""

    data: str = "./data"
    tick_hz: int = 30
    keyframe_every: int = 10
    seed: int = 1
    rooms: str = ""  # folder with room files; "" is the demonstration hospital
    demo: bool = True
    demo_bots: int = 6
    edge_host: str = "127.0.0.1"
    edge_port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 8081
    native: str = "tcp://127.0.0.1:7600"
    allowed_origins: tuple[str, ...] = ()  # more origins than the edge's own that may open a WebSocket
    tls_certificate: str = ""
    tls_key: str = ""
    ledger_origin: str = "localhost/asclepion"
    checkpoint_every_s: float = 10.0
    log_level: str = "info"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Check ranges and relations; raises ConfigError."""
        _within("tick_hz", self.tick_hz, 20, 90)
        _within("keyframe_every", self.keyframe_every, 2, 30)
        _within("demo_bots", self.demo_bots, 0, 50)
        _within("limits.avatars_max", self.limits.avatars_max, 1, 4096)
        for name in ("edge_port", "admin_port"):
            _within(name, getattr(self, name), 0, 65_535)
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ConfigError("tls_certificate and tls_key go together: give both or neither")
