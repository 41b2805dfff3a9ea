"""Stories through the real protocol, in memory: coming in, walking, talking, carrying, ordering, breaking the rules."""

import os

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.journal import SEGMENT_MAGIC, _bodies, _encoder, _frame, _row_decoder, segments
from server.ledger.entry import Entry, seal_content, sign
from server.net import link
from server.net.hello import make_hello
from server.net.messages import Bye, Notice, encoder, server_decoder
from server.net.token import Claims
from server.replay import main as replay
from server.replay import replay_segment
from server.sim.poses import POSE
from server.twin.orders import Order, to_fhir
from server.world.commands import Command, Moderate, PlaceOrder, SetInvite
from server.world.events import Care, PersonCame, PersonLeft, RoomEntered, Said
from tools.client import Client
from tools.client_lines import MemoryLine


def see_each_other(stage, *names):
    slots = {n: stage.world.slot_of(stage.clients[n].welcome.client) for n in names}
    return all(set(slots.values()) <= set(stage.clients[n].view.slots.tolist()) for n in names)


def at_the_bed(stage, name="doc", role="clinician"):
    client = stage.connect(name, role, "ward")
    stage.until(lambda: client.access and client.chains)
    return client, min(client.access)


def order_for(stage, bed, **fields):
    return to_fhir(Order(**fields), stage.world.patient_of(bed).hex())


def enrolled(stage, client):
    stage.until(lambda: stage.shard.recorder.kids.get(client.person) is not None)
    client.enrol()
    stage.until(lambda: client.kid >= 0)


def test_two_people_see_each_other_walk(stage):
    ann, ben = stage.connect("ann"), stage.connect("ben", "patient")
    stage.tick(12)
    assert see_each_other(stage, "ann", "ben")
    before = stage.position("ann")
    ann.send_pose(wish_mm_s=(0, -1400))
    stage.tick(15)
    after = stage.position("ann")
    assert after != before
    row = ben.view.slots.tolist().index(stage.world.slot_of(ann.welcome.client))
    assert tuple(ben.view.head_mm[row][[0, 2]]) == after


def test_words_reach_the_room_and_no_other(stage):
    stage.connect("ann"), stage.connect("ben"), stage.connect("cat", "clinician", "ward")
    stage.clients["ann"].say("good morning")
    stage.tick(2)
    assert [s.text for s in stage.said("ben", Said)] == ["good morning"]
    assert not stage.said("cat", Said)


def test_a_rude_frame_ends_one_session_only(stage):
    rude, polite = stage.connect("rude"), stage.connect("polite")
    rude._transmit(b"\xc1")
    stage.tick(3)
    assert rude.bye is not None and rude.bye.code == "encoding"
    assert polite.bye is None and len(stage.shard.guests) == 1
    assert stage.shard.intake.counters["ended_encoding"] == 1


def test_a_token_opens_the_door_once(stage):
    token = stage.tokens.mint_join(Claims("lobby", "student", "sam"), stage.clock.now_s)
    ends = []
    for _ in range(2):
        client = Client(clock=stage.clock)
        client.say_hello(MemoryLine(stage.wire.client()), token=token)
        stage.tick(2)
        client.poll()
        ends.append(client)
    assert ends[0].welcome is not None
    assert ends[1].welcome is None and ends[1].bye.code == "token"


def test_a_lost_connection_keeps_the_seat_and_what_is_held(stage):
    ann, _ben = stage.connect("ann", room="ward"), stage.connect("ben", room="ward")
    thing = near_thing(stage, "ann")
    ann.grab(thing, 1)
    stage.until(lambda: stage.world.things.owner[thing & 0xFFF] >= 0)
    seat = stage.world.slot_of(ann.welcome.client)
    ann.drop()
    stage.until(lambda: any(p.who.away for p in stage.said("ben", PersonCame)), 900)
    stage.resume("ann", 12)
    assert ann.welcome.resumed
    assert stage.world.slot_of(ann.welcome.client) == seat
    assert stage.world.things.owner[thing & 0xFFF] == seat
    assert not any(p.who.away for p in stage.said("ben", PersonCame)[-1:])


def near_thing(stage, name):
    """Walk to the nearest loose thing of the room by teleports, return its handle."""
    client = stage.clients[name]
    slot = stage.world.slot_of(client.welcome.client)
    room = int(stage.world.avatars.room[slot])
    spots = {int(t): stage.world.things.pos_mm[t] for t in stage.world.things_in(room)}
    for thing, spot in spots.items():
        for dx, dz in ((0, 600), (0, -600), (600, 0), (-600, 0)):
            for _ in range(6):
                x, z = stage.position(name)
                to = np.array([spot[0] + dx - x, spot[2] + dz - z])
                far = float(np.hypot(*to))
                step = to * min(1.0, 5500 / far) if far else to
                client.teleport(int(x + step[0]), int(z + step[1]))
                stage.tick(2)
            x, z = stage.position(name)
            if np.hypot(spot[0] - x, spot[2] - z) < 750:
                return next(h for h in client.things if h & 0xFFF == thing)
    raise AssertionError("no thing can be reached")


def test_an_order_is_recorded_before_it_acts(stage):
    doc, bed = at_the_bed(stage)
    enrolled(stage, doc)
    stage.tick(60)
    before = doc.vitals[bed].running
    content = order_for(stage, bed, kind="oxygen", amount=60.0)
    seq = doc.place_order(bed, content)
    stage.until(lambda: seq in doc.receipts)
    stage.tick(40)
    assert doc.receipts[seq].index > 0
    assert stage.said("doc", Care)[-1].index == doc.receipts[seq].index
    assert doc.vitals[bed].running != before


def test_with_the_ledger_away_orders_are_refused_and_everything_else_goes_on(stage):
    doc, bed = at_the_bed(stage)
    enrolled(stage, doc)
    stage.ledger.reachable = False
    stage.until(lambda: any(n.state == "down" for n in stage.said("doc", Notice)), 120)
    tick = doc.view.tick
    seq = doc.place_order(bed, order_for(stage, bed, kind="oxygen", amount=50.0))
    stage.tick(5)
    assert doc.refused[seq].code == "ledger-down"
    doc.say("still here")
    stage.tick(20)
    assert doc.view.tick > tick and stage.said("doc", Said)[-1].text == "still here"
    stage.ledger.reachable = True
    stage.until(lambda: stage.shard.recorder.up, 120)
    seq = doc.place_order(bed, order_for(stage, bed, kind="oxygen", amount=50.0))
    stage.until(lambda: seq in doc.receipts)


def test_a_student_sees_what_the_ward_shows_students_and_orders_nothing(stage):
    _, bed = at_the_bed(stage)
    sam = stage.connect("sam", "student", "ward")
    stage.tick(30)
    sam.kid = 0
    if bed in sam.access:
        assert not sam.access[bed].orders
    assert not sam.chains


@pytest.mark.parametrize("wrong", ["commit", "patient", "signature", "kid", "actor"])
def test_a_wrongly_signed_order_is_refused_and_not_recorded(stage, wrong):
    doc, bed = at_the_bed(stage)
    enrolled(stage, doc)
    size = stage.ledger.writer.signed_size
    content = order_for(stage, bed, kind="oxygen", amount=50.0)
    key, nonce, salt = os.urandom(32), os.urandom(12), os.urandom(32)
    sealed = seal_content(content + (b" " if wrong == "commit" else b""), key, nonce, salt)
    chain, access = doc.chains[bed], doc.access[bed]
    other = Ed25519PrivateKey.generate()
    actor = bytes(16) if wrong == "actor" else doc.person
    patient = bytes(16) if wrong == "patient" else access.patient
    entry = Entry(
        "order", 1, 1, actor, patient,
        chain.patient_seq, chain.prev, commit=sealed.commit, ct_hash=sealed.ct_hash,
    )  # fmt: skip
    signed = sign(entry, other if wrong == "signature" else doc.key, doc.kid + (wrong == "kid"))
    seq = doc.ask(PlaceOrder, bed, signed, content, salt, key, nonce)
    stage.tick(10)
    expected = {"commit": "wrong-commitment", "patient": "wrong-patient", "signature": "bad-signature",
                "kid": "not-enrolled", "actor": "wrong-actor"}  # fmt: skip
    assert doc.refused[seq].code == expected[wrong]
    assert stage.ledger.writer.signed_size == size
    assert doc.bye is None


def test_a_crash_brings_everyone_back_to_where_they_were(stage):
    ann = stage.connect("ann", room="ward")
    thing = near_thing(stage, "ann")
    ann.grab(thing, 0)
    stage.tick(5)
    place, seat = stage.position("ann"), stage.world.slot_of(ann.welcome.client)
    digest, tick = stage.world.digest(), stage.world.tick
    stage.crash_and_restart()
    assert (stage.world.tick, stage.world.digest()) == (tick, digest)
    stage.resume("ann", 12)
    assert ann.welcome.resumed and stage.world.slot_of(ann.welcome.client) == seat
    assert stage.position("ann") == place
    assert stage.world.things.owner[thing & 0xFFF] == seat


def test_an_order_under_way_when_the_shard_dies_takes_effect_once(stage):
    doc, bed = at_the_bed(stage)
    enrolled(stage, doc)
    stage.ledger.turn()
    stage.ledger.reachable = False
    doc.place_order(bed, order_for(stage, bed, kind="oxygen", amount=60.0))
    stage.tick(2)
    assert len(stage.world.pending()) == 1
    stage.crash_and_restart()
    stage.ledger.reachable = True
    stage.until(lambda: not stage.world.pending(), 240)
    stage.resume("doc", 60)
    assert any("60" in text for text in doc.vitals[bed].running)


def test_replay_makes_the_same_world(stage):
    doc, bed = at_the_bed(stage)
    enrolled(stage, doc)
    doc.send_pose(wish_mm_s=(500, 300))
    stage.tick(30)
    seq = doc.place_order(bed, order_for(stage, bed, kind="fluid", amount=500.0, over_s=600.0))
    stage.until(lambda: seq in doc.receipts)
    stage.tick(60)
    stage.shard.journal.close()
    assert replay(stage.data / "world", quiet=True) == 0


def test_replay_names_the_first_tick_that_differs(stage, capsys):
    ann = stage.connect("ann")
    for _ in range(10):
        ann.send_pose(wish_mm_s=(0, -900))
        stage.tick(2)
    stage.shard.journal.close()
    path = segments(stage.data / "world")[-1]
    changed = change_one_pose(path)
    differences = [d for _, d in replay_segment(path) if d is not None]
    assert differences[0].tick == changed + 1
    assert replay(path, quiet=True) == 1
    assert f"before tick {changed + 1}" in capsys.readouterr().out


def change_one_pose(path):
    """Rewrite one record so that a pose wishes something else; returns its tick."""
    with path.open("rb") as source:
        source.read(len(SEGMENT_MAGIC))
        bodies = [body for _, body in _bodies(source)]
    for i, body in enumerate(bodies[1:], 1):
        row = _row_decoder.decode(body)
        if row.rows and row.tick > 12:
            rows = np.frombuffer(row.rows, POSE).copy()
            rows["wish_mm_s"][0] = (900, 0)
            bodies[i] = _encoder.encode(msgspec.structs.replace(row, rows=rows.tobytes()))
            path.write_bytes(SEGMENT_MAGIC + b"".join(_frame(b) for b in bodies))
            return row.tick
    raise AssertionError("no pose in the journal")


def test_a_browser_behind_an_edge_sees_only_its_room_and_nothing_after_it_left(stage):
    edge = stage.wire.edge()
    stage.tick(1)
    token = stage.tokens.mint_join(Claims("lobby", "observer", "eve"), stage.clock.now_s)
    hello = make_hello(Ed25519PrivateKey.generate(), token=token)
    edge.send(link.FromBrowsers([(1, encoder.encode(hello))]))
    stage.tick(15)
    said = edge.read()
    frames = [f for m in said if isinstance(m, link.ToBrowsers) for conns, f in m.rows if 1 in conns]
    assert any(isinstance(server_decoder.decode(f), RoomEntered) for f in frames if f[0] >= 0x80)
    seen = [m for m in said if type(m).__name__ == "Seen"]
    assert seen and all(m.conns == (1,) for m in seen)
    edge.send(link.FromBrowsers([(1, encoder.encode(Bye("left")))]))
    stage.tick(2)
    edge.read()
    stage.tick(10)
    assert not [m for m in edge.read() if type(m).__name__ == "Seen"]


def test_invites_are_redeemed_through_an_edge(stage):
    stage.shard.intake.also([Command(0, 0, SetInvite("code-one", "lobby", "carer", 1, int(stage.clock.now_s) + 60))])
    edge = stage.wire.edge()
    stage.tick(2)
    body = {"room": "lobby", "invite": "code-one", "name": "Kim", "key": "A" * 43}
    for request in (1, 2):
        edge.send(link.Ask(request, "redeem", msgspec.json.encode(body)))
        stage.tick(2)
    answers = {m.request: m for m in edge.read() if isinstance(m, link.Answer)}
    assert answers[1].status == 200 and msgspec.json.decode(answers[1].body)["role"] == "carer"
    assert answers[2].status == 403


def test_leaving_the_room_is_told_to_those_who_stay(stage):
    ann = stage.connect("ann")
    stage.connect("ben")
    ann.leave()
    stage.tick(2)
    assert [left.avatar for left in stage.said("ben", PersonLeft)] == [ann.room.avatar]


def test_a_ban_outlives_a_crash(stage):
    ann = stage.connect("ann", room="ward")
    rob = stage.connect("rob", "student", "ward")
    ann.ask(Moderate, rob.room.avatar, "ban", "shouted at a patient")
    stage.until(lambda: rob.bye is not None, 10)
    stage.crash_and_restart()
    again = stage.connect("rob", "student", "ward")
    assert again.welcome is None and again.bye.code == "banned"
    assert stage.connect("kim", "student", "ward").welcome is not None


@pytest.mark.parametrize("replayed", ["pose", "command"])
def test_a_replayed_frame_ends_the_session(stage, replayed):
    ann, ben = stage.connect("ann"), stage.connect("ben")
    sent = []
    line = ann._line
    ann._transmit = lambda frame: (sent.append(frame), line.send(frame))
    ann.send_pose() if replayed == "pose" else ann.say("once")
    stage.tick(2)
    line.send(sent[0])
    stage.tick(2)
    assert ann.bye.code == "sequence" and ben.bye is None
    assert len(stage.said("ben", Said)) == (replayed == "command")


@pytest.mark.parametrize("then", [b"\xc1", encoder.encode(Bye("left")), b"\x10short"])
def test_who_comes_and_goes_in_one_tick_leaves_nothing_behind(stage, then):
    doc, _ = at_the_bed(stage)
    line = stage.wire.client()
    token = stage.tokens.mint_join(Claims("ward", "clinician", "gone"), stage.clock.now_s)
    line.send(encoder.encode(make_hello(Ed25519PrivateKey.generate(), token=token)))
    line.send(then)
    stage.tick(10)
    assert len(stage.shard.guests) == 1 and len(stage.world.clients()) == 1
    assert doc.bye is None


def test_many_who_come_in_one_tick_are_told_of_in_one_frame(stage):
    watcher = stage.connect("watcher", "clinician", "lobby")
    newcomers = [Client(Ed25519PrivateKey.generate(), stage.clock) for _ in range(5)]
    for number, client in enumerate(newcomers):
        token = stage.tokens.mint_join(Claims("lobby", "student", f"n{number}"), stage.clock.now_s)
        client.say_hello(MemoryLine(stage.wire.client()), token=token)
    sent = stage.wire.counters["messages_sent"]
    stage.tick(1)
    assert stage.wire.counters["messages_sent"] - sent == 6, "one message to each"
    assert {who.name for who in watcher.people.values()} >= {f"n{number}" for number in range(5)}
    newcomers[0].poll()
    assert {who.name for who in newcomers[0].people.values()} == {who.name for who in watcher.people.values()}
