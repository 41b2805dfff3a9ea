"""The kernel's own faulty wire, where there is one: a network namespace, a veth pair, tbf for bandwidth, nft for loss.

Owns the namespace it makes, and removes it. Needs root, `ip` and `tc`; `nft` for loss. What runs inside the namespace
is reached from this machine over this wire, and over nothing else.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self

TABLE = "asclepion"


class NoKernelLink(RuntimeError):
    """This machine does not offer it; one line says what is missing."""


def _run(words: Sequence[str], said: str = "") -> str:
    try:
        done = subprocess.run(words, input=said, capture_output=True, text=True, check=False, timeout=30)
    except OSError as error:
        raise NoKernelLink(f"{words[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise NoKernelLink(f"{' '.join(words[:4])}: {lines[0]}")
    return done.stdout


class KernelLink:
    """A namespace with one wire to it. `inside`: the address there; `enter`: words before a command to run it there."""

    def __init__(self) -> None:
        """Make it; raises NoKernelLink."""
        if os.geteuid() != 0:
            raise NoKernelLink("only root may make a network namespace")
        number = os.getpid()
        self.name, self._here, self._there = f"asclepion-{number}", f"asc{number}a"[:15], f"asc{number}b"[:15]
        net = f"198.18.{number % 250}"  # of RFC 2544: kept for benchmarks, routed nowhere
        self.outside, self.inside = f"{net}.1", f"{net}.2"
        self.enter = ("ip", "netns", "exec", self.name)
        try:
            self._make()
        except NoKernelLink:
            self.close()
            raise

    def _make(self) -> None:
        _run(("ip", "netns", "add", self.name))
        peer = ("peer", "name", self._there, "netns", self.name)
        _run(("ip", "link", "add", self._here, "type", "veth", *peer))
        _run(("ip", "addr", "add", f"{self.outside}/30", "dev", self._here))
        _run(("ip", "link", "set", self._here, "up"))
        _run((*self.enter, "ip", "addr", "add", f"{self.inside}/30", "dev", self._there))
        for device in ("lo", self._there):
            _run((*self.enter, "ip", "link", "set", device, "up"))

    def slow_down(self, kbit_per_s: int) -> None:
        """Carry no more than this, each way. Raises NoKernelLink."""
        shape = ("root", "tbf", "rate", f"{kbit_per_s}kbit", "burst", "16kbit", "latency", "200ms")
        _run(("tc", "qdisc", "replace", "dev", self._here, *shape))
        _run((*self.enter, "tc", "qdisc", "replace", "dev", self._there, *shape))

    def lose(self, per_mille: int) -> None:
        """Drop so many of a thousand packets at random, each way. Raises NoKernelLink."""
        if shutil.which("nft") is None:
            raise NoKernelLink("nft is not installed")
        rule = f"numgen random mod 1000 < {per_mille} counter drop;"
        chains = "".join(
            f"chain {hook} {{ type filter hook {hook} priority 0; {rule} }}\n" for hook in ("input", "output")
        )
        _run((*self.enter, "nft", "-f", "-"), f"table inet {TABLE} {{\n{chains}}}\n")

    def lost(self) -> int:
        """Packets dropped so far."""
        rules = json.loads(_run((*self.enter, "nft", "-j", "list", "table", "inet", TABLE)))["nftables"]
        found = [part for rule in rules if "rule" in rule for part in rule["rule"]["expr"] if "counter" in part]
        return sum(int(part["counter"]["packets"]) for part in found)

    def heal(self) -> None:
        """No loss and no bound any more; neither has to have been there."""
        for words in (
            ("tc", "qdisc", "del", "dev", self._here, "root"),
            (*self.enter, "tc", "qdisc", "del", "dev", self._there, "root"),
            (*self.enter, "nft", "delete", "table", "inet", TABLE),
        ):
            _forgive(words)

    def close(self) -> None:
        """Remove all of it."""
        _forgive(("ip", "link", "del", self._here))
        _forgive(("ip", "netns", "del", self.name))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """See close."""
        self.close()


def _forgive(words: Sequence[str]) -> None:
    """Do it if it can be done."""
    try:
        _run(words)
    except NoKernelLink:
        return
