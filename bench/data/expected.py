"""The expected counts of a log: a simple model, independent of the pipeline's code."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import msgspec

from ingest.simulator.world import BOTS

_REPEAT_MS = 5_000
_BOTS = frozenset(BOTS)


class _Event(msgspec.Struct):
    event_id: str
    clicked_at: int
    account_id: int
    domain: str
    link_id: str
    visitor_id: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Events by reason, and (user, account, hour) triples among the counted ones."""

    events: int = 0
    counted: int = 0
    bot: int = 0
    duplicate: int = 0
    repeat: int = 0

    def problems(self, found: dict[str, int]) -> list[str]:
        """The differences from a database."""
        wanted = asdict(self)
        return [
            f"{name}: {found.get(name)} instead of {wanted[name]}" for name in wanted if found.get(name) != wanted[name]
        ]


@dataclass(slots=True)
class Model:
    """Takes the events in log order; equal ids, and equal users, are in one partition, so their order is the log's.

    The model remembers 64-bit hashes, without a horizon: a benchmark's log is taken in within minutes.
    """

    events: int = 0
    counted: int = 0
    bot: int = 0
    duplicate: int = 0
    repeat: int = 0
    _ids: set[int] = field(default_factory=set)
    _clicks: set[int] = field(default_factory=set)
    _decoder: msgspec.json.Decoder[_Event] = field(default_factory=lambda: msgspec.json.Decoder(_Event))

    def take(self, value: bytes) -> None:
        event = self._decoder.decode(value)
        self.events += 1
        identity = hash(event.event_id)
        if identity in self._ids:
            self.duplicate += 1
            return
        self._ids.add(identity)
        if event.user_agent in _BOTS:
            self.bot += 1
            return
        slot = event.clicked_at // _REPEAT_MS
        click = hash((event.visitor_id, event.account_id, event.domain, event.link_id, slot))
        if click in self._clicks:
            self.repeat += 1
            return
        self._clicks.add(click)
        self.counted += 1

    def counts(self) -> Counts:
        return Counts(self.events, self.counted, self.bot, self.duplicate, self.repeat)
