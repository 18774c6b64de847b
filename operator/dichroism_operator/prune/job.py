"""One run of the prune job: which Prunes are due, one beamline after the other under its Lease, oldest first.

The catalogue is told last, when no Lease is held: an outage or a slow answer there keeps no file and no other run.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta

from dichroism_crds.client import ApiError, NotFound, Unavailable
from dichroism_crds.kinds import Metadata, Prune, PrunePhase
from dichroism_crds.names import ANNOTATION_UNDO, LABEL_BEAMLINE, LABEL_ENDPOINT
from dichroism_operator.lease import LeaseLostError
from dichroism_operator.prune.decision import undo_asked
from dichroism_operator.prune.gate import LeaseTakenError, PruningStoppedError
from dichroism_operator.prune.record import OvertakenError
from dichroism_operator.prune.run import Run
from dichroism_operator.prune.telling import tell_catalogue
from dichroism_operator.prune.work import PruneWork

_DUE_DAY = re.compile(r"-(\d{8})-\d+$")

log = logging.getLogger(__name__)


def lease_name(beamline: str) -> str:
    """The Lease that serialises all pruning of a beamline."""
    return f"dichroism-prune-{beamline.lower()}"


def day_reached(name: str, moment: datetime) -> bool:
    """Whether the due day in a Prune's name has come; a name without one says nothing, so the object is read."""
    found = _DUE_DAY.search(name)
    return found is None or found[1] <= f"{moment.astimezone(UTC):%Y%m%d}"


def acts_on(prune: Prune, keep: timedelta, moment: datetime) -> bool:
    """Whether there may be something to do; a Prune without a phase was not told to its Scans yet."""
    status = prune.status
    if status.phase in (None, PrunePhase.PRUNED) or moment < prune.spec.not_before:
        return False
    if undo_asked(prune):
        return status.trashed > 0 or status.phase != PrunePhase.HELD
    if status.phase == PrunePhase.TRASHED:
        return status.trashed_at is None or moment >= status.trashed_at + keep
    if status.phase == PrunePhase.INCOMPLETE:
        return status.retry_at is None or moment >= status.retry_at
    return True


async def run_prunes(run: Run) -> None:
    """Do everything that is due on the run's endpoint; the account is in ``run.summary``.

    While pruning is stopped only what people want back from the trash is put back.

    Raises:
        ApiError: the Prunes can't be listed or a Lease can't be taken.
    """
    await _work(run, await _due(run))
    if not run.dry_run:
        await tell_catalogue(run)


async def _work(run: Run, due: Mapping[str, Sequence[str]]) -> None:
    """Every Prune that is due; ends early where nothing more may be done."""
    for beamline, names in due.items():
        if beamline not in run.config.beamlines:
            trouble = f"{', '.join(names)}: no beamline {beamline!r} in the configuration, so nothing is done with them"
            log.error("%s", trouble)
            run.summary.troubles.append(trouble)
            continue
        try:
            async with _serialised(run, beamline):
                for name in names:
                    if run.into_trash.files < 1 and run.out_of_trash.files < 1:
                        run.summary.stopped = "this run did as much as it may; the rest follows in the next"
                        return
                    await _one(run, name, beamline)
        except LeaseTakenError as taken:
            log.info("%s", taken, extra={"beamline": beamline})
            run.summary.stopped = str(taken)
        except LeaseLostError as lost:
            log.error("%s: stopped at once, the next run goes on from here", lost, extra={"beamline": beamline})
            run.summary.troubles.append(str(lost))
        except PruningStoppedError as stopped:
            log.warning("nothing more is pruned: %s", stopped)
            run.summary.stopped = str(stopped)
            return


async def _due(run: Run) -> dict[str, list[str]]:
    """Names of the Prunes whose day has come, by beamline, from metadata alone."""
    moment = run.earliest
    found: list[Metadata] = [
        one
        async for one in run.api.list_metadata(Prune, label_selector=f"{LABEL_ENDPOINT}={run.endpoint.name}")
        if (ANNOTATION_UNDO in one.annotations if run.undo_only else day_reached(one.name, moment))
    ]
    due: dict[str, list[str]] = defaultdict(list)
    for metadata in sorted(found, key=lambda one: one.name):
        due[metadata.labels.get(LABEL_BEAMLINE, "")].append(metadata.name)
    return due


def _serialised(run: Run, beamline: str) -> AbstractAsyncContextManager[None]:
    """The beamline's Lease; a dry run changes nothing, so it takes none."""
    return nullcontext() if run.dry_run else run.gate.holding(lease_name(beamline))


async def _one(run: Run, name: str, beamline: str) -> None:
    """One Prune; what is unexpected about it is told and does not stop the others."""
    try:
        prune = await run.api.get(Prune, name)
        run.note_untold(prune)
        if not acts_on(prune, run.config.trash.keep, run.earliest):
            return
        if (prune.spec.beamline, prune.spec.endpoint.name) != (beamline, run.endpoint.name):
            raise ValueError("its labels name another beamline or endpoint than its spec: nothing is done with it")
        run.summary.prunes += 1
        work = PruneWork(run, prune)
        try:
            await work.do()
        finally:
            work.audit.close()
            run.note_untold(work.prune)
    except NotFound:
        log.info("%s was deleted", name)
    except OvertakenError as overtaken:
        log.warning("%s; the next run looks again", overtaken, extra={"prune": name})
        run.summary.unfinished += 1
    except (PruningStoppedError, LeaseLostError):
        raise
    except Unavailable as error:
        run.summary.troubles.append(f"{name}: {error}")
        raise PruningStoppedError(f"the Kubernetes API does not answer: {error}") from error
    except ApiError as error:
        # Also what an API server says that has just started and knows nobody's rights yet.
        log.error("%s: the Kubernetes API refuses: %s; the next run looks again", name, error, extra={"prune": name})
        run.summary.troubles.append(f"{name}: {error}")
    except Exception as error:
        log.exception("%s: an unexpected error, the others go on", name, extra={"prune": name})
        run.summary.troubles.append(f"{name}: {error}")
    finally:
        if not run.dry_run:
            await run.recorder.drain()
