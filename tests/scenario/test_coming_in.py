"""Many who come at once are let in at a pace: who waits is forgotten with their connection, who cannot wait is told."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server.config import Config, Limits
from server.net import link
from server.net.hello import make_hello
from server.net.messages import Bye, encoder, server_decoder
from server.net.token import Claims
from server.world.commands import Say


def hello(stage, number):
    """A right hello of somebody."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)
    token = stage.tokens.mint_join(Claims("lobby", "student", f"n{number}"), stage.clock.now_s)
    return encoder.encode(make_hello(key, token=token))


def knock(stage, number):
    """A connection that has just said hello."""
    line = stage.wire.client()
    line.send(hello(stage, number))
    return line


def few_at_once(tmp_path, raise_stage):
    limits = Limits(hellos_per_tick=2, unverified_peers_max=6)
    return raise_stage(tmp_path, Config(data=str(tmp_path), limits=limits))


def test_those_who_wait_come_in_two_a_tick_in_the_order_they_came(tmp_path, raise_stage):
    stage = few_at_once(tmp_path, raise_stage)
    for number in range(6):
        knock(stage, number)
    seen = []
    for _ in range(3):
        stage.tick()
        seen.append([stage.world.name_of(client) for client in stage.world.clients()])
    names = [f"n{number}" for number in range(6)]
    assert seen == [names[:2], names[:4], names]
    stage.close()


def test_who_hangs_up_while_waiting_is_never_let_in(tmp_path, raise_stage):
    stage = few_at_once(tmp_path, raise_stage)
    edge = stage.wire.edge()
    stage.tick()
    edge.send(link.FromBrowsers([(conn, hello(stage, conn)) for conn in range(5)]))
    stage.tick()
    edge.send(link.Gone([4]))
    stage.tick(4)
    assert len(stage.shard.guests) == 4 and len(stage.world.clients()) == 4
    stage.close()


def test_what_one_says_before_ones_turn_takes_nobodys_place(tmp_path, raise_stage):
    stage = few_at_once(tmp_path, raise_stage)
    first = [knock(stage, number) for number in range(3)]
    for _ in range(20):
        first[2].send(encoder.encode(Say(1, "let me in")))
    late = knock(stage, 3)
    stage.tick(3)
    assert len(stage.world.clients()) == 4 and late.open
    assert stage.shard.intake.counters["early_frames"] == 20
    stage.close()


def test_who_finds_no_room_to_wait_is_told_and_counted(tmp_path, raise_stage):
    stage = few_at_once(tmp_path, raise_stage)
    edge = stage.wire.edge()
    stage.tick()
    edge.send(link.FromBrowsers([(conn, hello(stage, conn)) for conn in range(12)]))
    stage.tick(2)
    told = [m for m in edge.read() if isinstance(m, link.ToBrowsers)]
    byes = [server_decoder.decode(frame) for message in told for _, frame in message.rows if frame[1:2] == b"\x03"]
    assert [bye.code for bye in byes if isinstance(bye, Bye)].count("busy") == 4
    assert stage.shard.intake.counters["hellos_dropped"] == 4
    stage.close()


def test_what_follows_a_fault_in_the_same_tick_is_nobodys_first_word(tmp_path, raise_stage):
    stage = few_at_once(tmp_path, raise_stage)
    line = knock(stage, 0)
    stage.tick()
    for _ in range(5):
        line.send(b"\xc1")
    stage.tick(2)
    said = [server_decoder.decode(frame) for message in line.read() for frame in message if frame[0] >= 0x80]
    assert [one.code for one in said if isinstance(one, Bye)] == ["encoding"]
    assert stage.shard.intake.counters["late_frames"] == 4
    stage.close()
