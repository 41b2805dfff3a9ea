"""Overload over real sockets: slow readers, floods, rubbish, a crowd that comes back at once, an edge that dies."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import zmq
from conftest import SIZE
from crowd import SlowBrowser, SlowNative, delivered

from server.net.messages import Ping, encoder
from server.world.commands import Say

pytestmark = pytest.mark.slow
WINDOW = 60  # ticks that a fault lasts


def chatter(site, crowd, skip=()):
    """Everybody talks as much as they may: frames that must not be left out."""

    def talk():
        if time.monotonic() >= talk.next_s:
            talk.next_s = time.monotonic() + 0.5
            for bot in crowd.bots:
                if bot.state == "in" and bot.number not in skip:
                    crowd.ask(bot, Say, "a line of chat that is not short " * 12)

    talk.next_s = 0.0
    return talk


def test_a_stopped_reader_costs_the_others_nothing_and_is_let_go(site):
    crowd = site.natives(12)
    others = [bot for bot in crowd.bots if bot.room == site.rooms[0]]
    site.mark()
    stopped = SlowNative(site.endpoint, site.keys.server_key, site.keys.mint("stopped", "clinician", site.rooms[0]))
    browser = SlowBrowser(site.url, site.keys.mint("stopped-too", "clinician", site.rooms[0]))
    first, last = site.pass_ticks(WINDOW, others[0], chatter(site, crowd))
    talk = chatter(site, crowd)

    def let_go():
        talk()
        return site.grown("too_slow_total") >= 1 and site.figures["clients"] == len(crowd.bots)

    site.until(let_go, "both stopped readers were let go")
    assert site.edge_metric("browsers_too_slow") == 1
    assert delivered(others, first, last) >= 0.95
    assert site.grown("snapshots_skipped_total") > 0, "it was thinned before"
    assert crowd.inside == 12 and not crowd.byes
    site.report("stopped readers, native and browser")
    stopped.close()
    browser.close()


def test_a_slow_reader_is_thinned_and_stays(site):
    crowd = site.natives(12)
    others = crowd.bots
    site.mark()
    slow = SlowNative(site.endpoint, site.keys.server_key, site.keys.mint("slow", "clinician", site.rooms[0]))
    site.until(lambda: site.figures["clients"] == 13, "the slow one is in")
    read = [0]

    def sip():
        if site.crowds[0].bots[0].ticks[-1] % 10 == 0:
            read[0] += bool(slow.read())
            slow_seq[0] += 1
            slow.send(encoder.encode(Ping(slow_seq[0], 1)))

    slow_seq = [0]
    first, last = site.pass_ticks(WINDOW, others[0], sip)
    assert delivered(others, first, last) >= 0.95
    site.report("a slow reader")
    assert site.figures["clients"] == 13 and read[0] > 3
    slow.close()


def test_a_flood_of_valid_messages_is_cut_by_rate_with_a_reason(site):
    crowd = site.natives(12)
    flooder, others = crowd.bots[0], crowd.bots[1:]
    crowd.paused.add(0)
    site.mark()

    def flood():
        if flooder.state == "in":
            for _ in range(200):
                crowd.ask(flooder, Ping, 1)

    first, last = site.pass_ticks(WINDOW, others[0], flood)
    assert crowd.byes == {"rate-messages": 1} or crowd.byes == {"rate-bytes": 1}, dict(crowd.byes)
    assert delivered(others, first, last) >= 0.95 and crowd.inside == 11
    site.report("a flood of valid messages")
    assert site.grown("ended_rate_messages_total") + site.grown("ended_rate_bytes_total") == 1


def test_rubbish_from_peers_and_from_strangers_ends_those_who_send_it(site):
    crowd = site.natives(16)
    rude, others = crowd.bots[:4], crowd.bots[4:]
    crowd.paused.update(bot.number for bot in rude)
    site.mark()
    for bot in rude:
        crowd.lines.send(bot.number, b"\xc1" + os.urandom(40))
    strangers = Strangers(site)
    first, last = site.pass_ticks(WINDOW, others[0], strangers.babble)
    assert crowd.byes == {"encoding": 4} and crowd.inside == 12
    assert delivered(others, first, last) >= 0.95
    site.report("rubbish from peers and strangers")
    assert site.grown("ended_encoding_total") == 4
    assert sum(site.grown(name) for name in site.figures if name.startswith("hello_")) > 0
    strangers.close()


class Strangers:
    """CURVE peers that never say hello, and plain TCP that is no protocol at all, at both ports."""

    def __init__(self, site):
        self.context = zmq.Context()
        self.dealers = [self._dealer(site) for _ in range(8)]
        native, web = urlsplit(site.endpoint), urlsplit(site.url)
        self.ports = [(native.hostname, native.port), (web.hostname, web.port)]
        self.sockets = []
        self.next_s = 0.0

    def _dealer(self, site):
        dealer = self.context.socket(zmq.DEALER)
        dealer.linger = 0
        dealer.curve_publickey, dealer.curve_secretkey = zmq.curve_keypair()
        dealer.curve_serverkey = site.keys.server_key
        dealer.connect(site.endpoint)
        return dealer

    def babble(self):
        """Some of it, ten times a second."""
        if time.monotonic() < self.next_s:
            return
        self.next_s = time.monotonic() + 0.1
        for dealer in self.dealers:
            dealer.send(os.urandom(64), zmq.NOBLOCK)
        for address in self.ports:
            plain = socket.create_connection(address, 10)
            plain.sendall(os.urandom(512))
            self.sockets.append(plain)

    def close(self):
        for one in (*self.dealers, *self.sockets):
            one.close()
        self.context.term()


def test_a_flood_of_handshakes_keeps_nobody_out(site):
    crowd = site.natives(12)
    native, web = urlsplit(site.endpoint), urlsplit(site.url)
    site.mark()
    held = []

    def knock():
        if len(held) < 4 * SIZE:
            for host, port in ((native.hostname, native.port), (web.hostname, web.port)):
                held.extend(socket.create_connection((host, port), 10) for _ in range(5))

    first, last = site.pass_ticks(WINDOW, crowd.bots[0], knock)
    assert delivered(crowd.bots, first, last) >= 0.95 and not crowd.byes
    late = site.natives(4, "late")
    browser = site.browsers(2, "late-browser")
    assert late.inside == 4 and browser.inside == 2 and crowd.inside == 12
    site.report(f"{len(held)} connections that never finish their handshake")
    for one in held:
        one.close()


def test_a_crowd_that_comes_back_at_once_is_in_again_and_nobody_lost_a_seat(site):
    crowd = site.natives(SIZE, "crowd")
    steady = site.natives(8, "steady")
    site.mark()
    before = {bot.number: (bot.avatar, bot.client) for bot in crowd.bots}
    first = steady.bots[0].ticks[-1]
    crowd.vanish()
    site.until(lambda: crowd.inside == SIZE, "all are in again")
    last = steady.bots[0].ticks[-1]
    assert {bot.number: (bot.avatar, bot.client) for bot in crowd.bots} == before
    assert all(bot.resumed == 1 for bot in crowd.bots)
    assert delivered(steady.bots, first, last) >= 0.95 and steady.inside == 8 and not steady.byes
    site.report(
        f"{SIZE} back at once within {last - first} ticks, {sum(b.attempts for b in crowd.bots) - SIZE} attempts"
    )


def test_an_edge_that_dies_costs_natives_nothing_and_browsers_come_back_to_their_seats(site):
    natives = site.natives(12)
    browsers = site.browsers(SIZE * 6 // 10)
    site.mark()
    before = {bot.number: (bot.avatar, bot.client) for bot in browsers.bots}
    site.house.again("edge")
    first, last = site.pass_ticks(WINDOW, natives.bots[0])
    site.until(lambda: browsers.inside == len(browsers.bots), "all browsers are in again")
    assert {bot.number: (bot.avatar, bot.client) for bot in browsers.bots} == before
    assert all(bot.resumed >= 1 for bot in browsers.bots)
    assert delivered(natives.bots, first, last) >= 0.95 and natives.inside == 12 and not natives.byes
    site.report(f"an edge died with {len(browsers.bots)} browsers")


@contextmanager
def faulty(address):
    """The proxy before a server's port, with delay, stalls and connections that end; its own address."""
    words = ["--delay-ms", "20", "--jitter-ms", "20", "--stall", "0.02", "--cut-every-s", "3", "--cut-ms", "300"]
    command = [sys.executable, "-m", "tools.link", "--listen", "0", "--to", address, "--ends", "0.8", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            yield proxy.stdout.readline().split()[1]
        finally:
            proxy.terminate()


def test_through_a_faulty_wire_natives_and_browsers_come_back_to_their_seats(site):
    steady = site.natives(4, "near")
    with faulty(urlsplit(site.endpoint).netloc) as native, faulty(urlsplit(site.url).netloc) as web:
        far = [site.natives(6, "far", f"tcp://{native}"), site.browsers(6, "far-browser", f"http://{web}")]
        site.mark()
        bots = [bot for crowd in far for bot in crowd.bots]
        before = [(bot.avatar, bot.client) for bot in bots]
        first = steady.bots[0].ticks[-1]
        site.until(lambda: all(bot.resumed for bot in bots), "each was cut off once and is back")
        last = steady.bots[0].ticks[-1]
        assert [(bot.avatar, bot.client) for bot in bots] == before
        assert delivered(steady.bots, first, last) >= 0.95 and steady.inside == 4 and not steady.byes
        site.report(f"a faulty wire, {sum(bot.resumed for bot in bots)} times cut off and back")
        site.dismiss()
