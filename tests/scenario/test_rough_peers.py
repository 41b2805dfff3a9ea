"""Any mix of peers that come, speak, break the protocol, vanish and come back in the same ticks: the shard goes on."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from server.config import Config
from server.ledger.entry import key_entry
from server.net.hello import make_hello
from server.net.messages import Bye, encoder
from server.net.session import POSE_STRUCT
from server.net.token import Claims
from server.sim.poses import POSE_KIND
from server.sim.rotation import IDENTITY
from server.world import commands

PEOPLE = 4
ROOMS = ("lobby", "ward", "consult", "lecture")
ROLES = ("clinician", "patient", "student", "operator")


class Rough:
    """One person with several connections, who says anything at any time."""

    def __init__(self, stage, number: int) -> None:
        self.stage, self.number = stage, number
        self.key = Ed25519PrivateKey.from_private_bytes(bytes([number + 1]) * 32)
        self.lines = [stage.wire.client()]
        self.seq = 0

    def do(self, act: str, pick: int) -> None:
        line = self.lines[pick % len(self.lines)]
        self.seq += 1
        match act:
            case "join":
                claims = Claims(ROOMS[pick % len(ROOMS)], ROLES[self.number % len(ROLES)], f"n{self.number}")
                token = self.stage.tokens.mint_join(claims, self.stage.clock.now_s)
                line.send(encoder.encode(make_hello(self.key, token=token)))
            case "resume":
                self.lines.append(self.stage.wire.client())
                self.lines[-1].send(encoder.encode(make_hello(self.key, resume=self.secret())))
            case "line":
                self.lines.append(self.stage.wire.client())
            case "drop":
                line.close()
            case "bye":
                line.send(encoder.encode(Bye("left")))
            case "garbage":
                line.send(bytes([pick & 0xFF]) * (1 + pick % 50))
            case "pose":
                rest = (1600, IDENTITY, 0, -300, -200, IDENTITY, 0, -300, -200, IDENTITY, 0, 1)
                line.send(POSE_STRUCT.pack(POSE_KIND, self.seq, pick % 2000, -900, pick % 1024, *rest))
            case _:
                line.send(encoder.encode(self.command(act, pick)))

    def secret(self) -> bytes:
        for line in self.lines:
            for message in line.received:
                for frame in message:
                    if frame[:2] in (b"\x9a\x04", b"\x9b\x04"):  # a Welcome of 9 or 10 fields: tag, client, resume
                        at = frame.index(b"\xc4\x20")
                        return frame[at + 2 : at + 34]
        return bytes(32)

    def command(self, act: str, pick: int) -> commands.Wire:
        seq, avatar = self.seq, pick % 8 | (1 << 12)
        made: dict[str, commands.Wire] = {
            "say": commands.Say(seq, "hello"),
            "go": commands.Go(seq, ROOMS[pick % len(ROOMS)]),
            "grab": commands.Grab(seq, pick % 20 | (1 << 12), 0),
            "release": commands.Release(seq, 0),
            "offer": commands.Offer(seq, 0, avatar),
            "sit": commands.Sit(seq, pick % 6),
            "remove": commands.Moderate(seq, avatar, ("remove", "ban", "mute", "unmute")[pick % 4]),
            "lock": commands.Lock(seq, bool(pick % 2)),
            "admit": commands.Admit(seq, avatar, bool(pick % 2)),
            "enrol": commands.Enrol(seq, key_entry(self.key, 1000 + seq, 1)),
            "invite": commands.MakeInvite(seq, "lobby", "student", 1, 60),
            "ack": commands.AckAlarm(seq, pick % 6, "spo2-low"),
        }
        return made[act]


ACTS = (
    "join", "join", "resume", "line", "drop", "bye", "garbage", "pose", "say", "go", "grab", "release", "offer", "sit",
    "remove", "lock", "admit", "enrol", "invite", "ack", "tick", "tick", "tick", "ledger",
)  # fmt: skip
ACTIONS = st.tuples(st.sampled_from(ACTS), st.integers(0, PEOPLE - 1), st.integers(0, 10_000))


@settings(
    max_examples=60,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(ACTIONS, min_size=10, max_size=80))
def test_the_shard_goes_on_whatever_peers_do(tmp_path_factory, raise_stage, acts):
    data = tmp_path_factory.mktemp("rough")
    stage = raise_stage(data, Config(data=str(data)))
    try:
        people = [Rough(stage, number) for number in range(PEOPLE)]
        for act, who, pick in acts:
            if act == "tick":
                stage.tick(1 + pick % 4)
            elif act == "ledger":
                stage.ledger.reachable = not stage.ledger.reachable
            else:
                people[who].do(act, pick)
        stage.tick(3)
        polite = stage.connect("polite", "clinician", "theatre")  # where no rough peer can have locked the door
        assert polite.bye is None and polite.welcome is not None
        digest = stage.world.digest()
        stage.crash_and_restart()
        assert stage.world.digest() == digest
    finally:
        stage.close()
