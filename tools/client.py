"""One client of the real protocol in Python: for tests, bots, and as an example of how to write another.

Owns a connection, the session on it, and what the server said so far: room, people, things, the decoded view, beds,
waves, orders and their receipts. Reads control messages with the `msgpack` package, not with the server's decoder.
Never blocks but in `poll` with a time-out. Nothing here is predicted or interpolated.
"""

import json
import os
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import msgspec
import zmq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.clock import Clock, SystemClock
from server.ledger.entry import Entry, fingerprint, key_entry, leaf_hash, seal_content, sign
from server.ledger.note import parse_vkey
from server.ledger.proof import verify_receipt
from server.net.hello import make_hello
from server.net.messages import Bye, Notice, Ping, ServerMessage, Several, Welcome, encoder
from server.net.session import POSE_STRUCT
from server.net.token import base64url
from server.sim.poses import POSE_KIND
from server.sim.rotation import IDENTITY
from server.sim.snapshot import View
from server.world import commands, events
from tools.client_lines import Line, NativeLine
from tools.frames import FrameReader
from tools.waves import WAVE_KIND, WaveBlock, read_wave

WAVES_KEPT = 400  # blocks
ORDER_TRIES_MAX = 10
ORDER_AGAIN_S = 0.5  # when the chain stands still, because another entry is being recorded
HTTP_TIMEOUT_S = 10.0
Triple = tuple[int, int, int]
WireMessage = commands.Wire
Draw = Callable[[int], bytes]  # so many random bytes: for the keys of what is ordered


class ClientError(Exception):
    """The client cannot do what was asked of it yet, or the server broke the protocol."""


class Redeemed(NamedTuple):
    """What an edge gives for an invite."""

    token: str
    room: str
    role: str
    name: str
    endpoint: str
    curve: str


class Order(NamedTuple):
    """An order under way: its first number, what it says, the leaf of its newest entry, how often it was signed."""

    first_seq: int
    bed: int
    content: bytes
    leaf: bytes = b""
    patient_seq: int = -1  # where in the chain it was to stand
    tries: int = 0
    again_s: float = 0.0  # when it is signed again at the latest


@dataclass(frozen=True, slots=True)
class Receipt:
    """An entry on the log whose proof this client has checked."""

    index: int
    leaf: bytes
    text: bytes


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """A person's key from a file of 32 bytes, made (0600) if there is none."""
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def read_message(frame: bytes) -> WireMessage:
    """A control message: bytes read by `msgpack`, shape checked against the declared type. Raises ClientError."""
    try:
        message: WireMessage = msgspec.convert(msgpack.unpackb(frame), ServerMessage)
    except (ValueError, msgpack.UnpackException) as bad:
        raise ClientError(f"the server sent a frame that is no message: {bad}") from bad
    return message


def read_messages(frame: bytes) -> list[WireMessage]:
    """The messages in a control frame, in order. Raises ClientError."""
    message = read_message(frame)
    return [read_message(each) for each in message.messages] if isinstance(message, Several) else [message]


class Client:
    """A person's session. After every `poll` the attributes show what the server said so far."""

    def __init__(
        self, key: Ed25519PrivateKey | None = None, clock: Clock | None = None, draw: Draw = os.urandom
    ) -> None:
        self.key = key or Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes_raw()
        self.person = fingerprint(self.public)
        self.curve = zmq.curve_keypair()
        self._clock, self._draw = clock or SystemClock(), draw
        self._line: Line | None = None
        self.seq = 0
        self.welcome: Welcome | None = None
        self.bye: Bye | None = None
        self.kid = -1  # log index of the key's entry
        self.tick = 0
        self.room: events.RoomEntered | None = None
        self.scene: dict[str, Any] = {}
        self.people: dict[int, events.Person] = {}
        self.things: dict[int, events.ThingInfo] = {}
        self.seen = FrameReader()
        self.vitals: dict[int, events.BedVitals] = {}
        self.access: dict[int, events.BedAccess] = {}
        self.chains: dict[int, events.BedChain] = {}
        self.waves: deque[WaveBlock] = deque(maxlen=WAVES_KEPT)
        self.orders: dict[int, Order] = {}  # by the number they were sent under
        self.refused: dict[int, events.Refused] = {}
        self.receipts: dict[int, Receipt] = {}  # by the number `place_order` or `enrol` gave
        self._key_leaves: dict[int, bytes] = {}  # of enrolments under way, by the number they were sent under
        self._again: list[Order] = []  # refused because the chain moved; to be signed again

    @property
    def view(self) -> View | None:
        """Everybody near in the room one is in, as of `tick`; None until the first snapshot of it."""
        seen = self.seen
        return seen.view if self.room is not None and seen.frame.room == self.room.room_index else None

    # --- coming in --------------------------------------------------------------------------------------------------

    def redeem(self, edge_url: str, room: str, invite: str, name: str) -> Redeemed:
        """Use an invite at an edge (HTTP). Raises ClientError with the edge's reason."""
        key = base64url(self.public)
        body = {"room": room, "invite": invite, "name": name, "key": key, "curve": self.curve[0].decode()}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{edge_url}/api/redeem", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:
                return Redeemed(**json.load(answer))
        except urllib.error.HTTPError as refusal:
            said = refusal.read(1000).decode(errors="replace")
            raise ClientError(f"the edge answered {refusal.code}: {said}") from None

    def connect(self, endpoint: str, server_key: str, token: str) -> None:
        """Say hello over ZeroMQ with a join token; the welcome comes with `poll`."""
        self.say_hello(NativeLine(endpoint, server_key, self.curve), token=token)

    def say_hello(self, line: Line, *, token: str = "", resume: bytes = b"") -> None:
        """Say hello on a fresh line; the line before is closed. Numbers grow on: no two sessions share one."""
        if self._line is not None:
            self._line.close()
        self._line, self.bye = line, None
        self.seen.forget()
        self._send(make_hello(self.key, token=token, resume=resume))

    def resume(self, line: Line) -> None:
        """Come back to one's seat on a fresh line."""
        if self.welcome is None:
            raise ClientError("there was no welcome yet, so there is no seat to come back to")
        self.say_hello(line, resume=self.welcome.resume)

    def native_line(self, endpoint: str, server_key: str) -> NativeLine:
        """A fresh line with the key pair the token was made for."""
        return NativeLine(endpoint, server_key, self.curve)

    def leave(self) -> None:
        """Say goodbye and close."""
        self._send(Bye("left"))
        self.drop()

    def drop(self) -> None:
        """Close the line without a word."""
        if self._line is not None:
            self._line.close()
        self._line = None

    # --- what one says ----------------------------------------------------------------------------------------------

    def ask(self, kind: type[WireMessage], *fields: object) -> int:
        """Send a command of this kind with its fields after `seq`; its number."""
        self.seq += 1
        self._send(kind(self.seq, *fields))
        return self.seq

    def send_pose(
        self,
        wish_mm_s: tuple[int, int] = (0, 0),
        yaw: int = 0,
        head_y_mm: int = 1600,
        head_rot: int = IDENTITY,
        hands_mm: tuple[Triple, Triple] = ((-200, -500, -300), (200, -500, -300)),
        hands_rot: tuple[int, int] = (IDENTITY, IDENTITY),
        grips: int = 0,
        flags: int = 0,
    ) -> int:
        """Send a pose; its number."""
        self.seq += 1
        (left, right), (left_rot, right_rot) = hands_mm, hands_rot
        self._transmit(
            POSE_STRUCT.pack(
                POSE_KIND, self.seq, *wish_mm_s, yaw, head_y_mm, head_rot, *left, left_rot, *right, right_rot,
                grips, flags,
            )
        )  # fmt: skip
        return self.seq

    def ping(self, stamp: int) -> int:
        """Ask for a Pong."""
        return self.ask(Ping, stamp)

    def say(self, text: str) -> int:
        """Chat to the room."""
        return self.ask(commands.Say, text)

    def go(self, room: str) -> int:
        """Walk through the door to a room."""
        return self.ask(commands.Go, room)

    def teleport(self, x_mm: int, z_mm: int) -> int:
        """Jump within the room."""
        return self.ask(commands.Teleport, x_mm, z_mm)

    def sit(self, seat: int) -> int:
        """Take a seat."""
        return self.ask(commands.Sit, seat)

    def stand(self) -> int:
        """Leave the seat."""
        return self.ask(commands.Stand)

    def grab(self, thing: int, hand: int) -> int:
        """Take a thing."""
        return self.ask(commands.Grab, thing, hand)

    def release(self, hand: int) -> int:
        """Put down what the hand holds."""
        return self.ask(commands.Release, hand)

    def offer(self, hand: int, to: int) -> int:
        """Hold out what the hand holds."""
        return self.ask(commands.Offer, hand, to)

    def acknowledge(self, bed: int, alarm: str) -> int:
        """Acknowledge an alarm."""
        return self.ask(commands.AckAlarm, bed, alarm)

    def enrol(self) -> int:
        """Put one's signing key on record; `kid` is set when it is."""
        entry = key_entry(self.key, int(self._clock.unix_s() * 1000), self.tick)
        seq = self.ask(commands.Enrol, entry)
        self._key_leaves[seq] = leaf_hash(entry)
        return seq

    def place_order(self, bed: int, content: bytes) -> int:
        """Sign and send an order (FHIR JSON) for a bed; its number. It is signed again when the patient's chain moved.

        Raises ClientError before the key is enrolled or the bed's monitor is open to orders.
        """
        return self._sign_order(Order(self.seq + 1, bed, content))

    def _sign_order(self, order: Order) -> int:
        access, chain = self.access.get(order.bed), self.chains.get(order.bed)
        if self.kid < 0 or access is None or chain is None or not access.orders:
            raise ClientError(f"no order at bed {order.bed} yet: key entry {self.kid}, access {access is not None}")
        key, nonce, salt = self._draw(32), self._draw(12), self._draw(32)
        sealed = seal_content(order.content, key, nonce, salt)
        entry = Entry(
            "order", int(self._clock.unix_s() * 1000), self.tick, self.person, access.patient, chain.patient_seq,
            chain.prev, commit=sealed.commit, ct_hash=sealed.ct_hash,
        )  # fmt: skip
        signed = sign(entry, self.key, self.kid)
        seq = self.ask(commands.PlaceOrder, order.bed, signed, order.content, salt, key, nonce)
        tries, place = order.tries + 1, chain.patient_seq
        self.orders[seq] = order._replace(leaf=leaf_hash(signed), patient_seq=place, tries=tries)
        return seq

    def _send(self, message: WireMessage) -> None:
        self._transmit(encoder.encode(message))

    def _transmit(self, frame: bytes) -> None:
        if self._line is None:
            raise ClientError("not connected")
        self._line.send(frame)

    # --- what one hears ---------------------------------------------------------------------------------------------

    def poll(self, timeout_s: float = 0.0) -> list[WireMessage]:
        """Read what came, waiting at most so long for the first frame; the control messages among it, in order.

        Raises ClientError, SnapshotError, WaveError, NoteError or ProofError if the server says what cannot be.
        """
        if self._line is None:
            return []
        heard = []
        for frame in self._line.read(timeout_s):
            if frame[0] >= 0x80:
                for message in read_messages(frame):
                    heard.append(message)
                    self._heard(message)
            elif frame[0] == WAVE_KIND:
                self.waves.append(read_wave(frame))
            else:
                self._saw(frame)
        self._retry()
        return heard

    def _saw(self, frame: bytes) -> None:
        if self.seen.see(frame) and self.room is not None and self.seen.frame.room == self.room.room_index:
            self.tick = self.seen.frame.tick

    def _heard(self, message: WireMessage) -> None:
        match message:
            case Welcome():
                self.welcome, self.kid, self.tick = message, message.log_kid, message.tick
            case Bye():
                self.bye = message
            case Notice(topic="log", text=vkey) if self.welcome is not None:
                self.welcome = msgspec.structs.replace(self.welcome, log_vkey=vkey)
            case events.RoomEntered():
                self._entered(message)
            case events.PersonCame(who=who):
                self.people[who.avatar] = who
            case events.PersonLeft(avatar=avatar):
                self.people.pop(avatar, None)
            case events.BedVitals(bed=bed):
                self.vitals[bed] = message
            case _:
                self._heard_record(message)

    def _entered(self, room: events.RoomEntered) -> None:
        self.room = room
        self.seen.forget()
        self.scene = msgpack.unpackb(room.scene)
        self.people = {person.avatar: person for person in room.people}
        self.things = {thing.thing: thing for thing in room.things}
        self.vitals, self.access, self.chains, self._again = {}, {}, {}, []

    def _heard_record(self, message: WireMessage) -> None:
        match message:
            case events.BedAccess(bed=bed):
                self.access[bed] = message
            case events.BedChain(bed=bed):
                self.chains[bed] = message
            case events.Enrolled(seq=seq, index=index, proof=proof):
                leaf = self._key_leaves.pop(seq, b"")
                if proof and leaf:
                    self.receipts[seq] = self._receipt(index, leaf, proof)
                self.kid = index
            case events.OrderState(seq=seq, state="recorded", index=index, proof=proof) if seq in self.orders:
                order = self.orders.pop(seq)
                self.receipts[order.first_seq] = self._receipt(index, order.leaf, proof)
            case events.OrderState(seq=seq, state="refused"):
                self.orders.pop(seq, None)
            case events.Refused(seq=seq, code=code):
                self.refused[seq] = message
                self._key_leaves.pop(seq, None)
                refused = self.orders.pop(seq, None)
                if refused is not None and code == "chain-moved" and refused.tries < ORDER_TRIES_MAX:
                    self._again.append(refused._replace(again_s=self._clock.monotonic_s() + ORDER_AGAIN_S))

    def _retry(self) -> None:
        """Sign refused orders again where the chain has moved on since, or after a while; one for each bed."""
        beds: set[int] = set()
        now_s = self._clock.monotonic_s()
        for order in list(self._again):
            chain = self.chains.get(order.bed)
            ready = chain is not None and (chain.patient_seq != order.patient_seq or now_s >= order.again_s)
            if ready and order.bed not in beds:
                beds.add(order.bed)
                self._again.remove(order)
                self._sign_order(order)

    def _receipt(self, index: int, leaf: bytes, proof: bytes) -> Receipt:
        """Check a receipt against the log's key. Raises NoteError, ProofError or ClientError."""
        if self.welcome is None or not self.welcome.log_vkey:
            raise ClientError("a receipt came, but the log's key was never told")
        found, _ = verify_receipt(proof, leaf, parse_vkey(self.welcome.log_vkey))
        if found != index:
            raise ClientError(f"the receipt is for entry {found}, the server says {index}")
        return Receipt(index, leaf, proof)
