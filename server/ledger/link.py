"""The shard's end of the line to the ledger process: a DEALER that never blocks.

Owns what was submitted and not yet answered, and sends it again after the ledger was away; the ledger gives the same
entry the same index, so nothing is recorded twice. Never decides what a refusal means.
"""

from contextlib import suppress
from dataclasses import dataclass

import zmq

from server.clock import Clock
from server.ledger.entry import leaf_hash
from server.ledger.wire import (
    MESSAGE_BYTES_MAX,
    Ack,
    Answer,
    Asked,
    Chain,
    ChainIs,
    FindKey,
    KeyIs,
    Refuse,
    Status,
    StatusIs,
    Submit,
    answer_decoder,
    encoder,
)

POLLIN = int(zmq.POLLIN)


class LinkFull(RuntimeError):
    """More is unanswered than may wait: refuse the asker instead."""


@dataclass(slots=True)
class _Waiting:
    submit: Submit
    sent_s: float


class LedgerLink:
    """One shard's line to its ledger. Call `poll` every tick.

    `up`: a status came within `up_s`. `accepting` and `reason`: what the newest status said. `status`: that answer.
    """

    def __init__(
        self,
        address: str,
        clock: Clock,
        *,
        waiting_max: int = 1024,
        up_s: float = 2.0,
        ask_every_s: float = 0.5,
        resend_s: float = 5.0,
        answers_per_poll: int = 512,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        self._clock = clock
        self._waiting_max, self._up_s, self._ask_every_s = waiting_max, up_s, ask_every_s
        self._resend_s, self._answers_per_poll = resend_s, answers_per_poll
        self._waiting: dict[int, _Waiting] = {}
        self._by_leaf: dict[bytes, int] = {}
        self._request = 0
        self._asked_s = -1e9
        self._heard_s = -1e9
        self.status: StatusIs | None = None
        self.socket = (context or zmq.Context.instance()).socket(zmq.DEALER)  # for the owner's poller; reads by `poll`
        for option, value in (
            (zmq.LINGER, 0), (zmq.SNDHWM, 2 * waiting_max), (zmq.RCVHWM, 4 * waiting_max),
            (zmq.RECONNECT_IVL, 50), (zmq.RECONNECT_IVL_MAX, 500), (zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX),
        ):  # fmt: skip
            self.socket.setsockopt(option, value)
        self.socket.connect(address)

    @property
    def up(self) -> bool:
        """The ledger answered a status lately."""
        return self._clock.monotonic_s() - self._heard_s <= self._up_s

    @property
    def accepting(self) -> bool:
        """The ledger is up and takes entries."""
        return self.up and self.status is not None and self.status.accepting

    @property
    def reason(self) -> str:
        """Why nothing is accepted now; empty when it is."""
        if not self.up or self.status is None:
            return "the ledger does not answer"
        return self.status.reason

    @property
    def waiting(self) -> int:
        """How many submissions are unanswered."""
        return len(self._waiting)

    def submit(self, entry: bytes, blob: bytes = b"", wrapped_key: bytes = b"") -> int:
        """Hand over an entry; the number that its Ack or Refuse will have. Raises LinkFull.

        An entry that is already waiting is not sent twice and keeps its number.
        """
        leaf = leaf_hash(entry)
        if leaf in self._by_leaf:
            return self._by_leaf[leaf]
        if len(self._waiting) >= self._waiting_max:
            raise LinkFull(f"{self._waiting_max} entries are unanswered, no more may wait")
        submit = Submit(self._next(), entry, blob, wrapped_key)
        self._by_leaf[leaf] = submit.request
        self._waiting[submit.request] = _Waiting(submit, self._clock.monotonic_s())
        self._send(submit)
        return submit.request

    def ask_chain(self, patient: bytes) -> int:
        """Ask what the patient's next entry must carry; ask again if no ChainIs comes."""
        return self._send(Chain(self._next(), patient))

    def ask_key(self, actor: bytes) -> int:
        """Ask for the kid of a fingerprint; ask again if no KeyIs comes."""
        return self._send(FindKey(self._next(), actor))

    def ask_status(self) -> int:
        """Ask how the ledger is (`poll` does so by itself)."""
        self._asked_s = self._clock.monotonic_s()
        return self._send(Status(self._next()))

    def poll(self) -> list[Ack | Refuse | ChainIs | KeyIs | StatusIs]:
        """Everything that came since the last call, at most `answers_per_poll`; keeps the line alive."""
        answers: list[Ack | Refuse | ChainIs | KeyIs | StatusIs] = []
        for _ in range(self._answers_per_poll):
            if not int(self.socket.getsockopt(zmq.EVENTS)) & POLLIN:  # an exception each tick would cost ten times this
                break
            answer = self._receive(self.socket.recv(zmq.NOBLOCK))
            if answer is not None:
                answers.append(answer)
        now_s = self._clock.monotonic_s()
        if now_s - self._asked_s >= self._ask_every_s:
            self.ask_status()
        if self.up:
            self._resend(now_s - self._resend_s, now_s)
        return answers

    def close(self) -> None:
        """Let go of the socket."""
        self.socket.close()

    def _receive(self, frame: bytes) -> Answer | None:
        """One answer, or None for a second answer to the same submission and for what is no answer at all."""
        try:
            answer: Answer = answer_decoder.decode(frame)
        except (ValueError, RecursionError):
            return None
        if isinstance(answer, Ack | Refuse):
            waiting = self._waiting.pop(answer.request, None)
            if waiting is None:
                return None
            self._by_leaf.pop(leaf_hash(waiting.submit.entry))
        if isinstance(answer, StatusIs):
            now_s = self._clock.monotonic_s()
            if self.status is not None and self.status.boot != answer.boot:
                self._resend(now_s, now_s)
            self.status, self._heard_s = answer, now_s
        return answer

    def _resend(self, before_s: float, now_s: float) -> None:
        """Send again what was last sent at or before `before_s`."""
        for waiting in self._waiting.values():
            if waiting.sent_s <= before_s:
                waiting.sent_s = now_s
                self._send(waiting.submit)

    def _next(self) -> int:
        self._request += 1
        return self._request

    def _send(self, asked: Asked) -> int:
        with suppress(zmq.Again):  # the queue to a ledger that is away is full: all of this is sent or asked again
            self.socket.send(encoder.encode(asked), zmq.NOBLOCK)
        return asked.request
