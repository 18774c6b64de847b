"""How often jobs are asked about. A job waits for minutes at least: after a part of its age, every two minutes at most.

Everything here is in seconds. The tests are quicker by the factor of their first poll.
"""

from dataclasses import dataclass

FIRST_POLL_S = 20.0
LONGEST_POLL_S = 120.0
GROWTH = 0.2
NOT_SHOWN_S = 600.0
"""After this a job that the batch system does not know is not awaited any more."""


@dataclass(frozen=True, slots=True)
class Pace:
    """``first_s`` from the submission of a job to its first poll; the later ones come further apart."""

    first_s: float = FIRST_POLL_S

    def pause_s(self, age_s: float) -> float:
        """Until the next poll of a job of that age."""
        return max(self.first_s, min(age_s * GROWTH, self._scaled(LONGEST_POLL_S)))

    def may_show_up(self, age_s: float) -> bool:
        """Whether a job that the batch system does not know may still come to be known."""
        return age_s < self._scaled(NOT_SHOWN_S)

    def _scaled(self, seconds: float) -> float:
        return seconds * self.first_s / FIRST_POLL_S
