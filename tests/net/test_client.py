"""The Python client against the server's own parts, joined in memory: joining, seeing, ordering, coming back."""

import json
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from server.clock import ManualClock
from server.config import Limits
from server.ledger.checkpoint import Checkpoint, sign_checkpoint
from server.ledger.entry import leaf_hash, open_content, open_entry, seal_content, verify
from server.ledger.note import NoteError, VerifierKey
from server.ledger.proof import format_receipt
from server.net import hello
from server.net.memory import MemoryWire
from server.net.messages import Bye, Hello, Pong, Welcome, encoder
from server.net.protocol import PROTOCOL_HASH
from server.net.session import Pose, Session, read_hello
from server.net.wire import Inbound, Peer
from server.sim.frame import write_frame
from server.sim.snapshot import delta_body, keyframe_body, view_of
from server.sim.state import new_avatars, new_things
from server.world import commands, events
from tools.client import ORDER_TRIES_MAX, Client, ClientError, load_signing_key
from tools.client_lines import MemoryLine
from tools.waves import WaveBlock, write_wave

PATIENT = bytes(range(16))
LOG_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "log.example/one"
LOG = VerifierKey(ORIGIN, LOG_KEY.public_key().public_bytes_raw())


def receipt(index: int, leaf: bytes) -> bytes:
    """The proof of a log whose only entry is this one."""
    return format_receipt(index, [], sign_checkpoint(Checkpoint(ORIGIN, 1, leaf), LOG_KEY))


class House:
    """A shard's border without a world: real wire and sessions, a script instead of rooms."""

    def __init__(self) -> None:
        self.limits = Limits()
        self.wire = MemoryWire(self.limits)
        self.clock = ManualClock()
        self.client = Client(Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32), self.clock)
        self.hellos: list[Hello] = []
        self.sessions: dict[Peer, Session] = {}
        self.peer: Peer | None = None
        self.said: list[object] = []

    def line(self) -> MemoryLine:
        return MemoryLine(self.wire.client())

    def turn(self) -> list[Any]:
        """Hear the client, send what is queued, let the client read."""
        for item in self.wire.receive(100):
            assert isinstance(item, Inbound)
            if item.peer in self.sessions:
                self.said.append(self.sessions[item.peer].receive(item.frame, self.clock.now_s))
            else:
                self.hellos.append(read_hello(item.frame))
                self.sessions[item.peer] = Session(self.limits, self.clock.now_s)
                self.peer = item.peer
        self.wire.flush()
        return self.client.poll()

    def tell(self, *messages: commands.Wire | bytes) -> None:
        assert self.peer is not None
        for message in messages:
            self.wire.post([self.peer], message if isinstance(message, bytes) else encoder.encode(message))

    def welcome(self, kid: int = -1, resumed: bool = False) -> None:
        resume = sha256(bytes([len(self.hellos)])).digest()
        self.tell(Welcome(1, resume, 100, 30, 60, 20, "Zoë", LOG.text(), kid, resumed))
        scene = msgspec.msgpack.encode({"title": "Ward"})
        zoe = events.Person(4097, "Zoë", "clinician", self.client.person)
        cup = events.ThingInfo(4096, "cup", "cup")
        self.tell(events.RoomEntered("ward", 2, 4097, "clinician", scene, [zoe], [cup], ["order"]))

    def joined(self, kid: int = -1) -> Client:
        self.client.say_hello(self.line(), token="a.b.c")
        self.turn()
        self.welcome(kid)
        self.turn()
        return self.client

    def at_the_bed(self) -> Client:
        client = self.joined(kid=9)
        self.tell(events.BedAccess(0, 5, PATIENT, True), events.BedChain(0, 0, b""))
        self.turn()
        return client

    def heard(self, kind: type) -> Any:
        self.turn()
        return [m for m in self.said if isinstance(m, kind)][-1]


def test_a_hello_proves_the_key_and_the_room_is_known_after_it() -> None:
    house = House()
    client = house.joined()
    (said,) = house.hellos
    Ed25519PublicKey.from_public_bytes(said.key).verify(said.proof, hello.to_be_signed("a.b.c", b"", PROTOCOL_HASH))
    assert said.key == client.public and hello.fingerprint(said.key) == client.person
    assert client.room is not None and client.room.room == "ward" and client.scene == {"title": "Ward"}
    assert [p.name for p in client.people.values()] == ["Zoë"] and client.things[4096].kind == "cup"


def test_keyframes_and_deltas_become_views_and_a_missed_keyframe_is_waited_for() -> None:
    house = House()
    client = house.joined()
    avatars, things, one, none = new_avatars(8), new_things(4), np.array([1]), np.arange(0)
    old = view_of(avatars, things, 2, one, none, 101)
    avatars.head_mm[1] = [100, 1600, -200]
    new = view_of(avatars, things, 2, one, none, 103)
    keyframe = write_frame(2, 101, 0, [(0, keyframe_body(old))])
    delta = write_frame(2, 103, 0, [(0, delta_body(new, old))])
    house.tell(delta)
    house.turn()
    assert client.view is None and client.seen.skipped == 1
    house.tell(keyframe, delta)
    house.turn()
    assert client.view is not None and client.view.head_mm.tolist() == [[100, 1600, -200]] and client.tick == 103


def test_poses_and_commands_share_a_growing_number() -> None:
    house = House()
    client = house.joined()
    client.send_pose(wish_mm_s=(100, -200), yaw=3, flags=1)
    numbers = [client.say("hello"), client.go("lobby"), client.sit(2), client.stand(), client.grab(4096, 1),
               client.release(0), client.offer(1, 4098), client.teleport(1, -1), client.acknowledge(0, "hr-high"),
               client.ping(77)]  # fmt: skip
    house.turn()
    assert numbers == list(range(2, 12))
    pose, *rest = house.said
    assert isinstance(pose, Pose) and pose.row["wish_mm_s"].tolist() == [100, -200]
    assert rest[0] == commands.Say(2, "hello") and rest[6] == commands.Offer(8, 1, 4098)


def test_people_come_change_and_leave_and_numbers_and_waves_are_kept() -> None:
    house = House()
    client = house.joined()
    bob = events.Person(8194, "Bob", "observer", bytes(16))
    block = WaveBlock(0, 0, 10, 250, {1: (1, 2, 3)})
    house.tell(events.PersonCame(bob), events.PersonCame(msgspec.structs.replace(bob, muted=True)), write_wave(block))
    assert [type(m) for m in house.turn()] == [events.PersonCame] * 2
    assert client.people[8194].muted and list(client.waves) == [block]
    house.tell(events.PersonLeft(8194, "left"), Pong(1, 5), Bye("stopping", "text"))
    house.turn()
    assert 8194 not in client.people and client.bye == Bye("stopping", "text")


def test_enrolling_gives_a_receipt_that_was_checked() -> None:
    house = House()
    client = house.joined()
    seq = client.enrol()
    asked = house.heard(commands.Enrol)
    entry = open_entry(asked.entry)
    verify(entry, client.public)
    house.tell(events.Enrolled(seq, 0, receipt(0, leaf_hash(asked.entry))))
    house.turn()
    assert client.kid == 0 and client.receipts[seq].index == 0


def test_an_order_commits_to_what_it_says_and_its_receipt_is_checked() -> None:
    house = House()
    client = house.at_the_bed()
    seq = client.place_order(0, b'{"a":1}')
    asked = house.heard(commands.PlaceOrder)
    signed = open_entry(asked.entry)
    verify(signed, client.public)
    assert (signed.kid, signed.entry.patient, signed.entry.patient_seq) == (9, PATIENT, 0)
    blob = seal_content(asked.content, asked.key, asked.nonce, asked.salt).blob
    assert open_content(signed.entry, blob, asked.key, asked.salt) == b'{"a":1}'
    house.tell(events.OrderState(seq, 0, "recording", -1, b"", ""))
    house.turn()
    assert seq not in client.receipts
    house.tell(events.OrderState(seq, 0, "recorded", 0, receipt(0, leaf_hash(asked.entry)), ""))
    house.turn()
    assert client.receipts[seq].leaf == leaf_hash(asked.entry) and not client.orders


def test_a_receipt_for_something_else_is_not_believed() -> None:
    house = House()
    client = house.at_the_bed()
    seq = client.place_order(0, b'{"a":1}')
    house.turn()
    house.tell(events.OrderState(seq, 0, "recorded", 0, receipt(0, bytes(32)), ""))
    with pytest.raises(ValueError, match=r"root|proof|leaf|inclusion"):
        house.turn()
    assert seq not in client.receipts
    assert issubclass(NoteError, ValueError)


def test_an_order_whose_chain_moved_is_signed_again_for_the_new_end() -> None:
    house = House()
    client = house.at_the_bed()
    seq = client.place_order(0, b'{"a":1}')
    other = client.place_order(0, b'{"b":2}')
    house.turn()
    house.tell(events.Refused(seq, "chain-moved", ""), events.BedChain(0, 1, bytes(32)))
    house.tell(events.Refused(other, "not-allowed", ""))
    house.turn()
    asked = house.heard(commands.PlaceOrder)
    entry = open_entry(asked.entry).entry
    assert (entry.patient_seq, entry.prev, asked.content) == (1, bytes(32), b'{"a":1}') and asked.seq > other
    house.tell(events.OrderState(asked.seq, 0, "recorded", 0, receipt(0, leaf_hash(asked.entry)), ""))
    house.turn()
    assert client.receipts[seq].index == 0
    assert client.refused[other].code == "not-allowed" and not client.orders


def test_while_another_entry_is_being_recorded_an_order_waits_for_the_chain_to_move() -> None:
    house = House()
    client = house.at_the_bed()
    seq = client.place_order(0, b"{}")
    house.turn()
    for _ in range(3):
        house.tell(events.Refused(seq, "chain-moved", ""), events.BedChain(0, 0, b""))
        house.turn()
    assert sum(isinstance(m, commands.PlaceOrder) for m in house.said) == 1
    house.clock.advance(1.0)
    house.turn()
    assert house.heard(commands.PlaceOrder).seq == seq + 1


def test_a_chain_that_never_stands_still_is_given_up() -> None:
    house = House()
    client = house.at_the_bed()
    client.place_order(0, b"{}")
    for turn in range(1, 20):
        house.turn()
        newest = [m for m in house.said if isinstance(m, commands.PlaceOrder)][-1]
        house.tell(events.Refused(newest.seq, "chain-moved", ""), events.BedChain(0, turn, bytes(32)))
    house.turn()
    assert sum(isinstance(m, commands.PlaceOrder) for m in house.said) == ORDER_TRIES_MAX and not client.orders


def test_an_order_before_the_bed_is_open_is_not_sent() -> None:
    house = House()
    with pytest.raises(ClientError, match="no order at bed 0"):
        house.joined().place_order(0, b"{}")


def test_coming_back_uses_the_newest_secret() -> None:
    house = House()
    client = house.joined()
    assert client.welcome is not None
    secret = client.welcome.resume
    client.resume(house.line())
    house.turn()
    assert house.hellos[-1].resume == secret and house.hellos[-1].token == ""
    house.welcome(resumed=True)
    house.turn()
    assert client.welcome.resumed and client.welcome.resume != secret
    client.say("again")
    assert house.heard(commands.Say).seq == 1


@pytest.mark.parametrize("frame", [b"\xc1", b"\x92\x65\x01", b"\x91\x05"])
def test_a_server_that_talks_nonsense_is_an_error(frame: bytes) -> None:
    house = House()
    house.joined()
    house.tell(frame)
    with pytest.raises(ClientError, match="no message"):
        house.turn()


def served(answer: Callable[[dict[str, str]], tuple[int, dict[str, str]]]) -> HTTPServer:
    class Edge(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Edge)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_an_invite_is_redeemed_over_http() -> None:
    asked: list[dict[str, str]] = []

    def answer(body: dict[str, str]) -> tuple[int, dict[str, str]]:
        asked.append(body)
        if body["invite"] == "bad":
            return 403, {"code": "invite", "text": "not valid"}
        return 200, {"token": "t", "room": "ward", "role": "clinician", "name": "Z", "endpoint": "e", "curve": "c"}

    server = served(answer)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    client = Client()
    assert client.redeem(url, "ward", "good", "Z").token == "t"
    assert asked[0]["curve"] == client.curve[0].decode()
    with pytest.raises(ClientError, match=r"403.*not valid"):
        client.redeem(url, "ward", "bad", "Z")
    server.shutdown()
    server.server_close()


def test_a_signing_key_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "me.key"
    assert load_signing_key(path).private_bytes_raw() == load_signing_key(path).private_bytes_raw()
    assert path.stat().st_mode & 0o777 == 0o600
