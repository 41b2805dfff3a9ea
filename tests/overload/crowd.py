"""Light clients for the overload stories: they come in, count the ticks they are shown, move a little, come back."""

import socket
import struct
from collections import Counter
from random import Random
from urllib.parse import urlsplit

import zmq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.net.hello import make_hello
from server.net.messages import Bye, Welcome, encoder, server_decoder
from server.net.protocol import SUBPROTOCOL
from server.net.session import POSE_STRUCT
from server.sim.poses import POSE_KIND
from server.sim.rotation import IDENTITY
from server.world.events import RoomEntered
from tools.backoff import Backoff

PATIENCE_S = 20.0  # for an answer to hello: machines that test are slow
POSE_EVERY_S = 0.25
GONE = frozenset({"resume", "token"})


class Bot:
    """One of a crowd."""

    def __init__(self, number, room, dice):
        self.number, self.room = number, room
        self.key = Ed25519PrivateKey.generate()
        self.backoff = Backoff(dice.random, cap_s=4.0)
        self.state = "out"
        self.again_s = self.asked_s = 0.0
        self.resume = b""
        self.avatar = self.client = self.seq = 0
        self.ticks = []
        self.resumed = 0
        self.attempts = 0


class Crowd:
    """Many bots on one set of lines. Frames are looked at no more than needed."""

    def __init__(self, lines, mint, rooms, name, role="clinician"):
        dice = Random(name)
        self.lines, self.mint, self.name, self.role = lines, mint, name, role
        self.bots = [Bot(number, room, dice) for number, room in enumerate(rooms)]
        self.byes = Counter()
        self.paused = set()  # bots that are left alone
        self.next_pose_s = 0.0

    @property
    def inside(self):
        return sum(bot.state == "in" for bot in self.bots)

    def turn(self, now_s, timeout_s=0.01):
        self.knock(now_s)
        for arrival in self.lines.poll(timeout_s):
            bot = self.bots[arrival.bot]
            if not arrival.frames:
                self.out(bot, now_s)
            for frame in arrival.frames:
                self.frame(bot, frame, now_s)
        if now_s >= self.next_pose_s:
            self.next_pose_s = now_s + POSE_EVERY_S
            for bot in self.bots:
                if bot.state == "in" and bot.number not in self.paused:
                    self.pose(bot)

    def knock(self, now_s):
        for bot in self.bots:
            if bot.state == "opening" and now_s - bot.asked_s > PATIENCE_S:
                self.out(bot, now_s)
            if bot.state == "out" and now_s >= bot.again_s and bot.number not in self.paused:
                token = "" if bot.resume else self.mint(f"{self.name}-{bot.number}", self.role, bot.room)
                self.lines.open(bot.number)
                self.lines.send(bot.number, encoder.encode(make_hello(bot.key, token=token, resume=bot.resume)))
                bot.state, bot.asked_s, bot.attempts = "opening", now_s, bot.attempts + 1

    def out(self, bot, now_s, at_least_s=0.0):
        bot.state, bot.again_s = "out", now_s + bot.backoff.failed(at_least_s)

    def frame(self, bot, frame, now_s):
        if frame[0] in (1, 2):
            bot.ticks.append(int.from_bytes(frame[2:6], "little"))
        elif frame[0] >= 0x80:
            message = server_decoder.decode(frame)
            if isinstance(message, Welcome):
                bot.resume, bot.client = message.resume, message.client
                bot.resumed += message.resumed
            elif isinstance(message, RoomEntered):
                bot.state, bot.avatar = "in", message.avatar
                bot.backoff.succeeded()
            elif isinstance(message, Bye):
                self.byes[message.code] += 1
                if message.code in GONE:
                    bot.resume = b""
                self.out(bot, now_s)

    def pose(self, bot, flags=0):
        bot.seq += 1
        rest = (1600, IDENTITY, -200, -500, -300, IDENTITY, 200, -500, -300, IDENTITY, 0, flags)
        wish = (bot.number % 5 - 2) * 200
        self.lines.send(bot.number, POSE_STRUCT.pack(POSE_KIND, bot.seq, wish, -wish, bot.seq % 1024, *rest))

    def ask(self, bot, kind, *fields):
        bot.seq += 1
        return self.lines.send(bot.number, encoder.encode(kind(bot.seq, *fields)))

    def leave(self, bot):
        self.lines.send(bot.number, encoder.encode(Bye("left")))
        bot.state, bot.resume, bot.again_s = "out", b"", float("inf")

    def vanish(self, bots=None):
        """All at once lose their connection, without a word."""
        for bot in self.bots if bots is None else bots:
            self.lines.drop(bot.number)
            bot.state, bot.again_s = "out", 0.0


def delivered(bots, first, last):
    """The share of the snapshots published from tick `first` to `last` that these bots got (published: got by one)."""
    got = [{tick for tick in bot.ticks if first <= tick <= last} for bot in bots]
    published = set().union(*got)
    assert len(published) > (last - first) / 4, (
        f"of ticks {first} to {last} only {len(published)} were shown to anybody"
    )
    return sum(map(len, got)) / (len(got) * len(published))


class SlowNative:
    """A native client that reads when told, with next to no room for what it does not read."""

    def __init__(self, endpoint, server_key, token):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.RCVHWM, 1)
        self.socket.setsockopt(zmq.RCVBUF, 4096)
        self.socket.curve_publickey, self.socket.curve_secretkey = zmq.curve_keypair()
        self.socket.curve_serverkey = server_key
        self.socket.connect(endpoint)
        self.key = Ed25519PrivateKey.generate()
        self.socket.send(encoder.encode(make_hello(self.key, token=token)))

    def send(self, frame):
        self.socket.send(frame, zmq.NOBLOCK)

    def read(self):
        """One message, if one is there; its frames."""
        return self.socket.recv_multipart() if self.socket.poll(0) else []

    def close(self):
        self.socket.close(0)
        self.context.term()


def websocket_frame(payload):
    """One masked binary frame (RFC 6455)."""
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return b"\x82" + size + bytes(4) + payload


class SlowBrowser:
    """A WebSocket on a bare socket with a small window, that reads when told."""

    def __init__(self, url, token):
        parts = urlsplit(url)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(20)
        self.socket.connect((parts.hostname, parts.port))
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(1)
        assert b" 101 " in head.split(b"\r\n")[0], head
        self.key = Ed25519PrivateKey.generate()
        self.send(encoder.encode(make_hello(self.key, token=token)))

    def send(self, frame):
        self.socket.sendall(websocket_frame(frame))

    def read(self, size=2048):
        """Some bytes, if some are there."""
        self.socket.settimeout(0.0)
        try:
            return self.socket.recv(size)
        except BlockingIOError:
            return b""

    def close(self):
        self.socket.close()
