"""What the ledger costs: `python -m tools.bench_ledger`, and a section of the benches.

Owns the measurements of the primitives, of the writer by itself (one order at a time, and in full groups), of the
offline check, and of the real process over its socket. Writes into a temporary folder below the current one.
"""

import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console

from server.clock import SystemClock
from server.ledger.entry import Entry, fingerprint, key_entry, open_entry, seal_content, sign, verify
from server.ledger.limits import LedgerLimits
from server.ledger.link import LedgerLink
from server.ledger.start import open_log
from server.ledger.verify import verify as verify_folder
from server.ledger.wire import Ack, Refuse, Submit
from server.ledger.writer import Writer
from tools.bench_timing import Row, Sample, cost_us, table

TITLE = "Ledger (author-signed orders, durable and signed before they are acknowledged)"
ORIGIN = "asclepion.example/bench"
GROUP = 256
_LIMITS = LedgerLimits(actor_per_s=1e9, actor_burst=1_000_000_000)


class _Author:
    """One key and orders of its own patient, already sealed and signed."""

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.actor = fingerprint(self.key.public_key().public_bytes_raw())

    def orders(self, kid: int, count: int) -> list[Submit]:
        made = []
        for number in range(count):
            sealed = seal_content(b"{}" * 400, os.urandom(32), os.urandom(12), os.urandom(32))
            entry = Entry(
                "order", 1, number, self.actor, patient=os.urandom(16), commit=sealed.commit, ct_hash=sealed.ct_hash
            )
            made.append(Submit(number, sign(entry, self.key, kid), sealed.blob, b""))
        return made


def _waits(what: str, seconds: list[float], note: str) -> Row:
    """p50 of waits as the figure, with the range up to p99."""
    ordered = sorted(1000 * value for value in seconds)
    sample = Sample(ordered[len(ordered) // 2], ordered[0], ordered[len(ordered) * 99 // 100])
    return Row(what, "ms, up to p99", sample, note=note)


def _one(value: float) -> Sample:
    return Sample(value, value, value)


def _record(writer: Writer, group: list[Submit]) -> None:
    if any(isinstance(answer, Refuse) for answer in writer.record(group)):
        raise SystemExit("the ledger refused a good entry: is the disk full?")


def _primitives() -> list[Row]:
    author = _Author()
    order = author.orders(0, 1)[0]
    signed, public = open_entry(order.entry), author.key.public_key().public_bytes_raw()
    note = f"an order of {len(order.entry)} bytes"
    return [
        Row("sign an entry", "CPU us", cost_us(lambda: sign(signed.entry, author.key, 0)), note=note),
        Row("decode an entry strictly", "CPU us", cost_us(lambda: open_entry(order.entry)), note=note),
        Row("verify an author's signature", "CPU us", cost_us(lambda: verify(signed, public)), note=note),
    ]


def _batch(writer: Writer, orders: list[Submit], group: int) -> tuple[float, float, list[float]]:
    """(entries per second, CPU us for each, seconds each group took)."""
    waits, cpu, begin = [], time.process_time(), time.perf_counter()
    for at in range(0, len(orders), group):
        then = time.perf_counter()
        _record(writer, orders[at : at + group])
        waits.append(time.perf_counter() - then)
        writer.publish()
    took, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return len(orders) / took, 1e6 * cpu / len(orders), waits


def _writer(folder: Path, count: int) -> list[Row]:
    author = _Author()
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        writer = open_log(folder, ORIGIN, pool, SystemClock(), _LIMITS)
        _record(writer, [Submit(0, key_entry(author.key, 1, 0))])
        orders = author.orders(0, count + 200)
        slow, slow_cpu, slow_waits = _batch(writer, orders[count:], 1)
        fast, fast_cpu, fast_waits = _batch(writer, orders[:count], GROUP)
        writer.close()
    rows = [
        _waits("writer, one order at a time", slow_waits, f"{slow:,.0f} orders/s, durable and signed each"),
        _waits(f"writer, a group of {GROUP}", fast_waits, f"{fast:,.0f} orders/s, durable and signed each group"),
        Row("writer, an order of a group", "CPU us", _one(fast_cpu), slow_cpu, "naive: one order at a time"),
    ]
    cpu, begin = time.process_time(), time.perf_counter()
    size = verify_folder(folder / "public").size
    each = 1e6 * (time.process_time() - cpu) / size
    rate = size / (time.perf_counter() - begin)
    return [*rows, Row("offline check, an entry", "CPU us", _one(each), note=f"{rate:,.0f} entries/s")]


def _process(folder: Path, count: int) -> list[Row]:
    """Orders of 50 authors, 200 unanswered at a time, over the socket of the real process."""
    address = f"ipc://{folder}/l.ipc"
    child = subprocess.Popen(
        [sys.executable, "-m", "server.ledger.process", str(folder / "process"), address, ORIGIN],
        stderr=subprocess.DEVNULL,
    )
    link = LedgerLink(address, SystemClock())
    authors = [_Author() for _ in range(50)]
    try:
        numbers = {link.submit(key_entry(a.key, 1, 0)): a for a in authors}
        kids = {numbers[ack.request]: ack.index for ack in _wait(link, len(authors))}
        orders = [order for a in authors for order in a.orders(kids[a], count // len(authors))]
        random.Random(1).shuffle(orders)  # no author at a stretch
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        waits, took = _drive(link, orders)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()
        link.close()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - spent.ru_utime - spent.ru_stime
    note = f"{len(waits) / took:,.0f} orders/s acknowledged of {count} sent"
    return [
        _waits("process, 200 orders unanswered", waits, note),
        Row("process, an order", "CPU us", _one(1e6 * cpu / max(1, len(waits))), note="with the process's start"),
    ]


def _drive(link: LedgerLink, orders: list[Submit]) -> tuple[list[float], float]:
    """Send all, 200 unanswered at a time: (seconds until each acknowledgement, seconds in all)."""
    sent: dict[int, float] = {}
    waits: list[float] = []
    begin = time.perf_counter()
    while orders or link.waiting:
        while orders and link.waiting < 200:
            order = orders.pop()
            sent[link.submit(order.entry, order.blob)] = time.perf_counter()
        link.socket.poll(50)
        now = time.perf_counter()
        waits += [now - sent[answer.request] for answer in link.poll() if isinstance(answer, Ack)]
    return waits, time.perf_counter() - begin


def _wait(link: LedgerLink, count: int) -> list[Ack]:
    found: list[Ack] = []
    while len(found) < count:
        link.socket.poll(50)
        found += [answer for answer in link.poll() if isinstance(answer, Ack)]
    return found


def run(count: int = 10_000) -> list[Row]:
    """The section: `count` entries for each row that writes."""
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        return [*_primitives(), *_writer(folder / "writer", count), *_process(folder, count)]


def bench() -> None:
    """Measure and print the table."""
    Console().print(table(TITLE, run()))


if __name__ == "__main__":
    bench()
