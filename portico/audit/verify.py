"""Walk every chain again: links, hashes, details, and the signed heads.

An event that was changed, taken out, put in or moved is found; so is what was blacked out without a
word, and an end that was cut off, where
a signed head says how long the chain was.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from portico.audit.model import Event
from portico.audit.rules import FIRST, REDACT, details_hash, link

_FAULTS_MAX = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """An event and what it changed, as JSON; redacted: what it changed was blacked out."""

    event: Event
    before: str | None
    after: str | None
    redacted: bool


@dataclass(frozen=True, slots=True)
class Head:
    """Where a chain ended at some moment, signed with the key `key_id`."""

    organisation_id: str
    sequence: int
    key_id: str
    hash: bytes
    signed_at_ms: int
    signature: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    organisation_id: str
    sequence: int
    wrong: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """events, chains, heads: how many were looked at.  unknown_heads: signed with keys that are not
    here, so that nobody can say."""

    events: int
    chains: int
    heads: int
    unknown_heads: int
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        return not self.faults


IsSigned = Callable[[bytes, bytes], bool]
"""(message, signature): is it this key's?"""


def verify(
    entries: Iterable[Entry], heads: Iterable[Head], keys: Mapping[str, IsSigned]
) -> Verdict:
    """entries: chain by chain, each from its first event.  keys: by id."""
    walk = _Walk(heads, keys)
    for entry in entries:
        walk.step(entry)
    return walk.end()


def message(organisation_id: str, sequence: int, hash: bytes) -> bytes:
    """What is signed of a head."""
    return b"portico audit head 1\n%b\n%d\n%b" % (
        organisation_id.encode(),
        sequence,
        hash.hex().encode("ascii"),
    )


class _Walk:
    def __init__(self, heads: Iterable[Head], keys: Mapping[str, IsSigned]) -> None:
        self._heads: dict[tuple[str, int], list[Head]] = {}
        for head in heads:
            self._heads.setdefault((head.organisation_id, head.sequence), []).append(head)
        self._keys = keys
        self._chain: str | None = None
        self._sequence, self._previous = 0, FIRST
        self._blacked_out: list[int] = []
        self._said: set[str] = set()
        self._events = self._chains = self._seen = self._unknown = 0
        self._faults: list[Fault] = []

    def step(self, entry: Entry) -> None:
        event = entry.event
        if event.organisation_id != self._chain:
            self._leave()
            self._chain = event.organisation_id
            self._sequence, self._previous = 0, FIRST
            self._chains += 1
        self._events += 1
        for wrong in self._wrong(entry):
            self._note(event.organisation_id, event.sequence, wrong)
        self._sequence, self._previous = event.sequence, event.hash
        if entry.redacted:
            self._blacked_out.append(event.sequence)
        if event.action == REDACT:
            self._said.add(event.target)
        for head in self._heads.pop((event.organisation_id, event.sequence), ()):
            self._judge(head, event)

    def end(self) -> Verdict:
        self._leave()
        for organisation_id, sequence in sorted(self._heads):
            self._note(organisation_id, sequence, "it was signed and is not there any more")
        return Verdict(self._events, self._chains, self._seen, self._unknown, tuple(self._faults))

    def _leave(self) -> None:
        """The end of a chain: what was blacked out in it is an event of it, too."""
        for sequence in self._blacked_out:
            if str(sequence) not in self._said and self._chain is not None:
                self._note(self._chain, sequence, "what it changed is gone, and no event says so")
        self._blacked_out.clear()
        self._said.clear()

    def _wrong(self, entry: Entry) -> Iterator[str]:
        event = entry.event
        if event.sequence != self._sequence + 1:
            yield f"it follows number {self._sequence}"
        if event.previous_hash != self._previous:
            yield "it does not name the hash of the event before it"
        again = link(
            event.organisation_id,
            event.sequence,
            event.at_ms,
            event.actor,
            event.action,
            event.target,
            event.details_hash,
            event.previous_hash,
        )
        if again.hash != event.hash:
            yield "its hash is not that of its facts"
        if not entry.redacted and details_hash(entry.before, entry.after) != event.details_hash:
            yield "what it changed is not what was written down"

    def _judge(self, head: Head, event: Event) -> None:
        self._seen += 1
        if head.hash != event.hash:
            self._note(head.organisation_id, head.sequence, "it was signed with another hash")
            return
        key = self._keys.get(head.key_id)
        if key is None:
            self._unknown += 1
        elif not key(message(head.organisation_id, head.sequence, head.hash), head.signature):
            self._note(head.organisation_id, head.sequence, "the signature of its head is wrong")

    def _note(self, organisation_id: str, sequence: int, wrong: str) -> None:
        if len(self._faults) < _FAULTS_MAX:
            self._faults.append(Fault(organisation_id, sequence, wrong))
