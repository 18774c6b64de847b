"""How many tasks the lanes of one mover may have under way together, so that no beamline waits for another."""

from dataclasses import dataclass, field

PER_LANE = 2
"""The next task fills while the first one ends."""


@dataclass(slots=True)
class Slots:
    """Shared by all lanes of one mover; used from one thread.

    ``together`` is what the outside system works on at a time for one account, None without such a limit. Then
    ``PER_LANE`` tasks run in all, and more only for a lane that has none: so one slot is always kept for it.
    """

    together: int | None = None
    _busy: dict[str, int] = field(default_factory=dict)
    _waiting: dict[str, None] = field(default_factory=dict)

    def note(self, lane: str, tasks: int) -> None:
        """How many tasks a lane has under way now."""
        self._busy[lane] = tasks

    def withdraw(self, lane: str) -> None:
        """The lane has nothing to start: nobody needs to wait for its turn."""
        self._waiting.pop(lane, None)

    def may_start(self, lane: str) -> bool:
        """Whether the lane may start one more task now; a lane that may not is next when a slot is free."""
        own = self._busy.get(lane, 0)
        if own >= PER_LANE:
            return False
        if self.together is None:
            return True
        if own:
            free = sum(self._busy.values()) < PER_LANE and not (self._waiting.keys() - {lane})
        else:
            ahead = list(self._waiting).index(lane) if lane in self._waiting else len(self._waiting)
            free = sum(self._busy.values()) + ahead < self.together
            if not free:
                self._waiting.setdefault(lane)
        if free:
            self.withdraw(lane)
        return free
