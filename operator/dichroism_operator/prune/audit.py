"""The trail of what pruning did: one line of the log with every path, and one Event, for each batch of files.

The same for the empty folders that went after a Prune's files.

In the cluster the line is a JSON object of the logger ``dichroism.audit``; keep these where logs are kept.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

from dichroism_crds.kinds import Prune
from dichroism_crds.reasons import EventReason
from dichroism_operator import wording
from dichroism_operator.movers.choice import verifier_name
from dichroism_operator.prune.run import Run

log = logging.getLogger("dichroism.audit")


class Action(Enum):
    """What was done to files, the words for it, and whether their copies had been verified for it."""

    TRASHED = EventReason.BATCH_TRASHED, "moved into the trash of", True
    DELETED = EventReason.BATCH_DELETED, "deleted from the trash of", True
    PUT_BACK = EventReason.BATCH_PUT_BACK, "put back from the trash of", False

    def __init__(self, event: EventReason, words: str, proven: bool) -> None:
        self.event = event
        self.words = words
        self.proven = proven


@dataclass(slots=True)
class _Batch:
    paths: list[str] = field(default_factory=list)
    bytes: int = 0


class Audit:
    """The trail of one Prune in one run. What was noted is told at the end of the batch, however that ends."""

    def __init__(self, run: Run, prune: Prune) -> None:
        self._run = run
        self._prune = prune
        self._open: dict[Action, _Batch] = defaultdict(_Batch)
        self._number = 0

    def note(self, action: Action, path: str, size: int) -> None:
        """Something was done to one file."""
        batch = self._open[action]
        batch.paths.append(path)
        batch.bytes += size

    def close(self) -> None:
        """Tell what was noted since the last time."""
        batches, self._open = self._open, defaultdict(_Batch)
        for action, batch in batches.items():
            self._tell(action, batch)

    def folders_removed(self, folders: Sequence[str]) -> None:
        """Tell of folders that the Prune had left empty and that are gone now."""
        spec = self._prune.spec
        text = f"{wording.count(len(folders), 'empty folder')} removed from {spec.endpoint.name}"
        fields = {
            "action": "folders_removed",
            "prune": self._prune.name,
            "beamline": spec.beamline,
            "endpoint": spec.endpoint.name,
            "by": self._run.gate.holder,
            "paths": list(folders),
        }
        log.info("%s: %s", self._prune.name, text, extra=fields)
        self._run.recorder.event(self._prune, EventReason.FOLDERS_REMOVED, text)

    def _tell(self, action: Action, batch: _Batch) -> None:
        self._number += 1
        spec = self._prune.spec
        done = f"{wording.files(len(batch.paths))} ({wording.size(batch.bytes)}) {action.words} {spec.endpoint.name}"
        verified = self._verified() if action.proven else {}
        proof = "; copies verified on " + ", ".join(f"{need} ({by})" for need, by in verified.items())
        fields = {
            "action": action.name.lower(),
            "prune": self._prune.name,
            "beamline": spec.beamline,
            "endpoint": spec.endpoint.name,
            "batch": self._number,
            "files": len(batch.paths),
            "bytes": batch.bytes,
            "verified": verified,
            "by": self._run.gate.holder,
            "paths": batch.paths,
        }
        text = f"batch {self._number}: {done}{proof if verified else ''}"
        log.info("%s: %s", self._prune.name, text, extra=fields)
        self._run.recorder.event(self._prune, action.event, text)

    def _verified(self) -> dict[str, str]:
        """The mover that read the copies again, by needed endpoint: all of them, or nothing would have been done."""
        config, spec = self._run.config, self._prune.spec
        beamline = config.beamlines.get(spec.beamline)
        rule = beamline.prune.get(spec.endpoint.name) if beamline else None
        found: dict[str, str] = {}
        for need in (*(one.name for one in spec.needs), *(rule.needs if rule else ())):
            with suppress(ValueError):
                found[need] = verifier_name(config, need)
        return found
