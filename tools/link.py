"""A faulty wire from a seed: what becomes of every message is decided by number, size and time, and nothing else.

Owns the schedule. Never sends, waits or reads a clock: `tools.link_memory` carries it out in memory for a hand-turned
clock, `tools.link_proxy` over real sockets (`python -m tools.link --help`).

Two kinds of wire. On "datagrams" each message fares for itself: lost, doubled, held back, overtaken. On a "stream"
(TCP, and so ZeroMQ and WebSocket) nothing is lost, doubled or overtaken: what would be lost is delivered after a stall,
as a retransmission would be, and everything behind it waits too. On both the wire falls silent in cuts, some of which
end a stream's connection, and carries at most `rate_bytes_s`. On a stream that bound holds where messages come out; on
datagrams where they go into the wire, since jitter may bring them together afterwards.
"""

import sys
from typing import Literal, NamedTuple

Direction = Literal["up", "down"]
Kind = Literal["stream", "datagrams"]
MASK = (1 << 64) - 1
USES = {"loss": 1, "jitter": 2, "double": 3, "hold": 4, "cut": 5, "end": 6, "double-jitter": 7}
WAYS: dict[Direction, int] = {"up": 1, "down": 2}


class LinkError(ValueError):
    """Faults that cannot be; says what was got and what is allowed."""


class Faults(NamedTuple):
    """What is wrong with a wire. All zero: nothing. Shares are of messages, 0 to 1."""

    delay_s: float = 0.0  # one way
    jitter_s: float = 0.0  # added to the delay, evenly spread from 0 to this
    loss: float = 0.0  # share lost; on a stream: share that stalls for `stall_s`
    stall_s: float = 0.2  # of a stream's retransmission
    doubled: float = 0.0  # share that comes twice (datagrams)
    held: float = 0.0  # share that is held back by `held_s`, so that later ones overtake it (datagrams)
    held_s: float = 0.05
    rate_bytes_s: float = 0.0  # 0: no bound
    queue_s: float = 1.0  # datagrams that would wait longer than this for their turn are dropped
    cut_every_s: float = 0.0  # one cut in every such period, at a time drawn by lot; 0: none
    cut_s: float = 0.5  # of silence
    ends: float = 0.0  # share of cuts that end the connection (stream)


class Line(NamedTuple):
    """What one direction of a wire remembers: messages so far, when it is free, when the last one came out."""

    number: int = 0
    free_s: float = 0.0
    last_s: float = 0.0


class Fate(NamedTuple):
    """When a message comes out (twice if doubled, never if empty), and why if it is not simply on time."""

    times_s: tuple[float, ...]
    reason: Literal["", "lost", "stalled", "doubled", "held", "full", "cut"] = ""


def check(faults: Faults) -> Faults:
    """The faults, if they can be. Raises LinkError."""
    for name, value in faults._asdict().items():
        share = name in ("loss", "doubled", "held", "ends")
        if not 0.0 <= value <= (1.0 if share else 1e9):
            raise LinkError(f"{name} is {value}, allowed is 0 to {'1' if share else '1e9'}")
    if faults.cut_every_s and faults.cut_s > faults.cut_every_s / 2:
        raise LinkError(f"cut_s is {faults.cut_s}, allowed is up to half of cut_every_s ({faults.cut_every_s})")
    return faults


def dice(seed: int, direction: Direction, number: int, use: str) -> float:
    """A number from 0 to below 1 that depends on nothing else (the finaliser of SplitMix64, applied twice)."""
    mixed = _mix((seed & MASK) ^ _mix(number * 8 + USES[use] + (WAYS[direction] << 56)))
    return (mixed >> 11) / (1 << 53)


def _mix(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


class Cut(NamedTuple):
    """A period of silence, in both directions; `ends` the connection if it is a stream."""

    start_s: float
    end_s: float
    ends: bool


def cut_at(faults: Faults, seed: int, time_s: float) -> Cut | None:
    """The cut that is on at `time_s` (seconds since the wire was made), if one is."""
    if not faults.cut_every_s or time_s < 0:
        return None
    number = int(time_s // faults.cut_every_s)
    cut = cut_number(faults, seed, number)
    return cut if cut.start_s <= time_s < cut.end_s else None


def cut_number(faults: Faults, seed: int, number: int) -> Cut:
    """The cut in period `number`; it lies wholly within it."""
    free_s = faults.cut_every_s - faults.cut_s
    start_s = number * faults.cut_every_s + dice(seed, "up", number, "cut") * free_s
    return Cut(start_s, start_s + faults.cut_s, dice(seed, "up", number, "end") < faults.ends)


def fate(
    kind: Kind, faults: Faults, seed: int, direction: Direction, line: Line, size: int, time_s: float
) -> tuple[Fate, Line]:
    """What becomes of the next message of `size` bytes, sent `time_s` after the wire was made; and the line after it.

    Times of one line must not go back.
    """
    decide = _stream if kind == "stream" else _datagram
    return decide(faults, seed, direction, line, size, time_s)


def _stream(faults: Faults, seed: int, direction: Direction, line: Line, size: int, time_s: float) -> tuple[Fate, Line]:
    number = line.number
    lost = dice(seed, direction, number, "loss") < faults.loss
    jitter_s = dice(seed, direction, number, "jitter") * faults.jitter_s
    ready_s = max(line.last_s, time_s + faults.delay_s + jitter_s + lost * faults.stall_s)
    out_s = _carried(faults, size, max(line.free_s, ready_s))
    cut = cut_at(faults, seed, out_s)
    if cut is not None:
        out_s = _carried(faults, size, cut.end_s)
    reason: Literal["cut", "stalled", ""] = "cut" if cut is not None else "stalled" if lost else ""
    return Fate((out_s,), reason), Line(number + 1, out_s, out_s)


def _carried(faults: Faults, size: int, start_s: float) -> float:
    """When a message is through that begins to be carried at `start_s`."""
    return start_s + size / faults.rate_bytes_s if faults.rate_bytes_s else start_s


def _datagram(
    faults: Faults, seed: int, direction: Direction, line: Line, size: int, time_s: float
) -> tuple[Fate, Line]:
    number = line.number
    gone_s = _carried(faults, size, max(line.free_s, time_s))
    if gone_s - time_s > faults.queue_s and faults.rate_bytes_s:
        return Fate((), "full"), line._replace(number=number + 1)
    after = Line(number + 1, gone_s, gone_s)
    if cut_at(faults, seed, gone_s) is not None:
        return Fate((), "cut"), after
    if dice(seed, direction, number, "loss") < faults.loss:
        return Fate((), "lost"), after
    base_s = gone_s + faults.delay_s
    held = dice(seed, direction, number, "hold") < faults.held
    first_s = base_s + dice(seed, direction, number, "jitter") * faults.jitter_s + held * faults.held_s
    if dice(seed, direction, number, "double") < faults.doubled:
        second_s = base_s + dice(seed, direction, number, "double-jitter") * faults.jitter_s
        return Fate((first_s, second_s), "doubled"), after
    return Fate((first_s,), "held" if held else ""), after


def main() -> int:
    """The userspace proxy; see `tools.link_proxy`."""
    from tools.link_proxy import main as proxy

    return proxy(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
