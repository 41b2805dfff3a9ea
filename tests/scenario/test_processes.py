"""Real processes and sockets: each of the three is killed in turn, and nobody loses a seat, a thing or an entry."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from server.ledger import verify
from server.replay import main as replay
from server.twin.orders import Order, to_fhir
from tools.client import Client

pytestmark = pytest.mark.slow
START_S = 90.0


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class House:
    """`asclepion serve` as an operator starts it, in a process group of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clients: tuple[Client, ...] = ()
        edge, admin, native = free_ports(3)
        self.url, self.admin = f"http://127.0.0.1:{edge}", f"http://127.0.0.1:{admin}"
        words = ["--data", str(data), "--edge-port", str(edge), "--admin-port", str(admin)]
        words += ["--native", f"tcp://127.0.0.1:{native}", "--demo-bots", "0"]
        self.log = data.with_suffix(".log")
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "server", "serve", *words], stdout=out, stderr=out, start_new_session=True
            )
        self.wait_for(lambda: "ready after" in self.log.read_text(), START_S)

    def wait_for(self, condition: Callable[[], bool], within_s: float = 20.0) -> None:
        end_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < end_s, f"not within {within_s} s; the log says:\n{self.log.read_text()[-2000:]}"
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            self.pump()

    def pump(self) -> None:
        """Let a moment pass: clients read what came."""
        for client in self.clients:
            client.poll(0.02)
        self.process.poll() if self.clients else select.select([], [], [], 0.05)

    def invite(self, role: str) -> str:
        found = re.search(rf"{role}\s+\S+#(\S+)", self.log.read_text())
        assert found
        return found[1]

    def pid(self, part: str) -> int:
        """The child that runs this part, 0 while there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        words = {int(child): Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in children}
        return next((child for child, said in words.items() if part.encode() in said), 0)

    def kill(self, part: str) -> None:
        before = self.pid(part)
        os.kill(before, signal.SIGKILL)
        self.wait_for(lambda: self.pid(part) not in (0, before))

    def ready(self) -> bool:
        try:
            with urlopen(f"{self.admin}/readyz", timeout=2) as answer:
                return bool(json.load(answer)["status"] == "ok")
        except OSError:
            return False

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "data")
    yield made
    if made.process.poll() is None:
        os.killpg(made.process.pid, signal.SIGTERM)
        made.process.wait(30)


def come_in(house: House, room: str = "lobby") -> tuple[Client, Any]:
    client = Client()
    redeemed = client.redeem(house.url, room, house.invite("clinician"), "Ada Byron")
    client.connect(redeemed.endpoint, redeemed.curve, redeemed.token)
    house.clients = (client,)
    house.wait_for(lambda: client.view is not None and client.room is not None)
    return client, redeemed


def place(client: Client) -> tuple[int, int]:
    assert client.view is not None and client.room is not None
    row = client.view.slots.tolist().index(client.room.avatar & 0xFFF)
    return int(client.view.head_mm[row][0]), int(client.view.head_mm[row][2])


def walk(house: House, client: Client, x_mm: float, z_mm: float) -> None:
    for _ in range(10):
        x, z = place(client)
        far = ((x_mm - x) ** 2 + (z_mm - z) ** 2) ** 0.5
        if far < 500:
            return
        step = min(1.0, 5500 / far)
        seq = client.teleport(int(x + (x_mm - x) * step), int(z + (z_mm - z) * step))
        house.wait_for(lambda seq=seq, here=(x, z): place(client) != here or seq in client.refused)


def to_the_ward(house: House, client: Client) -> int:
    door = next(door for door in client.scene["door"] if door["to"] == "ward")
    walk(house, client, door["at"][0] * 850, door["at"][1] * 850)
    client.go("ward")
    house.wait_for(lambda: client.room.room == "ward" and client.view is not None and bool(client.chains))
    return min(client.access)


def holder(client: Client, thing: int) -> int:
    row = client.view.things[[int(t[0]) for t in client.view.things].index(thing & 0xFFF)]
    return int(row[2]) if row[1] else -1


def take_a_thing(house: House, client: Client) -> int:
    for thing in client.things:
        row = next(row for row in client.view.things if int(row[0]) == thing & 0xFFF)
        x, z = int(row[4]) - 32768, int(row[6]) - 32768
        for dx, dz in ((0, 550), (0, -550), (550, 0), (-550, 0)):
            walk(house, client, x + dx, z + dz)
            seq = client.grab(thing, 1)
            house.wait_for(lambda seq=seq, thing=thing: seq in client.refused or holder(client, thing) >= 0)
            if seq not in client.refused:
                return thing
    raise AssertionError("nothing could be taken")


def back_again(house: House, client: Client, redeemed: Any) -> None:
    """Come back as a client does: try until the shard answers."""
    for _ in range(20):
        client.drop()
        client.resume(client.native_line(redeemed.endpoint, redeemed.curve))
        client.seen.forget()
        client.bye = None
        end_s = time.monotonic() + 3
        while time.monotonic() < end_s and client.view is None:
            client.poll(0.05)
        if client.view is not None:
            return
    raise AssertionError(f"no way back: {client.bye}")


def order(house: House, client: Client, bed: int, percent: float) -> int:
    content = to_fhir(Order("oxygen", percent), client.access[bed].patient.hex())
    seq = client.place_order(bed, content)
    house.wait_for(lambda: seq in client.receipts)
    return client.receipts[seq].index


def test_each_process_killed_in_turn_costs_nobody_anything(house):
    client, redeemed = come_in(house)
    bed = to_the_ward(house, client)
    thing = take_a_thing(house, client)
    client.enrol()
    house.wait_for(lambda: client.kid >= 0)
    entries = [order(house, client, bed, 30)]
    avatar, here = client.room.avatar, place(client)

    house.kill("edge")
    house.wait_for(house.ready)
    entries.append(order(house, client, bed, 35))
    assert (client.room.avatar, place(client), holder(client, thing)) == (avatar, here, avatar & 0xFFF)

    house.kill("shard")
    back_again(house, client, redeemed)
    assert client.welcome.resumed
    assert (client.room.avatar, place(client), holder(client, thing)) == (avatar, here, avatar & 0xFFF)
    house.wait_for(lambda: bed in client.chains and client.kid >= 0)
    entries.append(order(house, client, bed, 40))

    house.kill("ledger")
    house.wait_for(house.ready)
    attempts: list[int] = []
    house.wait_for(lambda: try_order(client, bed, attempts))
    entries.append(client.receipts[attempts[-1]].index)
    house.wait_for(lambda: client.vitals[bed].running == ["oxygen 45 %"])
    assert len(set(entries)) == len(entries) and entries == sorted(entries)

    client.leave()
    assert house.stop() == 0
    assert verify.main(house.data / "ledger") == 0
    assert replay(house.data / "world", quiet=True) == 0


def try_order(client: Client, bed: int, attempts: list[int]) -> bool:
    """Order until it is recorded: while the ledger is away the answer is a refusal, and nothing else."""
    if not attempts or attempts[-1] in client.refused:
        attempts.append(client.place_order(bed, to_fhir(Order("oxygen", 45), client.access[bed].patient.hex())))
    return attempts[-1] in client.receipts
