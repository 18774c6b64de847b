"""What comes back from tape: members of a bundle as files on the endpoint from which they were archived."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dichroism_operator.movers.base import CopyState


class Retrieval(StrEnum):
    """How far a retrieval is."""

    ACTIVE = "Active"
    DONE = "Done"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A retrieval as it is now; one that is ACTIVE is asked about again.

    When DONE, ``folder`` (relative to the root of the endpoint that the bundle was made from) holds ``MANIFEST.tsv``
    and, below ``members``, each member whose state is VERIFIED.
    """

    state: Retrieval
    message: str = ""
    folder: str = ""
    states: Mapping[str, CopyState] = field(default_factory=dict)
