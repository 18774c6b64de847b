"""What the sequences for one dataset share: client, pid, who we are, and the list of what we may not correct.

A sequence runs under one token from its first look to its last write. When the token is rejected it starts again with a
new conversation, so nothing that an expired token did not show leads to a second dataset or file list.
"""

import logging
from dataclasses import dataclass, field
from typing import Any

from dichroism_operator.catalogue.errors import CatalogueUnavailable, EntryRefused
from dichroism_operator.catalogue.scicat_client import SciCatClient

Json = dict[str, Any]

_FORBIDDEN = 403
log = logging.getLogger(__name__)


@dataclass(slots=True)
class RelationForm:
    """The name of the field in which a relation holds its pid: 4.x and 5.x differ. Learned from the first answer."""

    known: str | None = None

    @property
    def candidates(self) -> tuple[str, ...]:
        """The forms to be tried, the likelier first: the backend may be of a later generation by now."""
        return ("identifier", "pid") if self.known == "identifier" else ("pid", "identifier")


@dataclass(slots=True)
class Conversation:
    """One dataset, one token."""

    client: SciCatClient
    pid: str
    groups: tuple[str, ...]
    """Of our account."""
    about: dict[str, str]
    """Fields for the log."""
    form: RelationForm
    uncorrected: list[str] = field(default_factory=list)
    """What is not as it should be because our account may not change it."""

    def read_back(self) -> Json:
        """The dataset, which has just been seen or made."""
        dataset = self.client.find_dataset()
        if dataset is None:
            raise self.not_kept("the dataset")
        return dataset

    def not_kept(self, what: str) -> CatalogueUnavailable:
        """The error for something that was accepted and is not there."""
        return CatalogueUnavailable(
            f"the catalogue accepted {what} of dataset {self.pid} but does not show it afterwards; it is tried again",
            pid=self.pid,
        )

    def may_not(self, what: str, refusal: EntryRefused) -> None:
        """Note a correction that was refused for want of rights; any other refusal is raised again."""
        if refusal.http_status != _FORBIDDEN:
            raise refusal
        self.uncorrected.append(what)
        log.warning("the catalogue does not let us correct %s: %s", what, refusal, extra=self.about)
