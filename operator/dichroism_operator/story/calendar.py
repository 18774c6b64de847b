"""What becomes of one file on the prune calendar: each Prune that names it, its day, and what keeps the file. Pure."""

from datetime import datetime

from dichroism_crds.config import Config, Hold
from dichroism_crds.kinds import Prune, PruneItem, PrunePhase
from dichroism_crds.reasons import KEPT_REASONS, KeptReason
from dichroism_operator import holding
from dichroism_operator.prune import decision
from dichroism_operator.prune.forecast import FileForecast, Forecast, forecast
from dichroism_operator.story.known import Known
from dichroism_operator.story.model import HoldTold, PruneTold


def told_prunes(known: Known, scan: str, config: Config, moment: datetime) -> list[PruneTold]:
    """The Prunes that name the Scan, the earliest first."""
    named = ((prune, item) for prune in known.prunes for item in prune.spec.items if item.scan == scan)
    return [_told(prune, item, known, config, moment) for prune, item in named]


def hold_told(note: holding.Note, command: str) -> HoldTold:
    """The note of a suspend."""
    return HoldTold(by=note.by, reason=note.reason, until=note.until, where=f"ends with: {command}")


def _told(prune: Prune, item: PruneItem, known: Known, config: Config, moment: datetime) -> PruneTold:
    scans = {known.scan.name: known.scan} if known.scan else {}
    row = next(iter(forecast([prune], scans, config, moment)), None)
    file = next((one for one in row.files if one.item == item), None) if row else None
    kept = KEPT_REASONS.get(next((one.reason for one in prune.status.kept if one.path == item.path), ""))
    reason = kept if kept and (kept.settled or file is None) else (file.reason if file else None) or kept
    return PruneTold(
        name=prune.name,
        endpoint=prune.spec.endpoint.name,
        phase=prune.status.phase,
        due=file.due if file else None,
        state=_state(prune, row, file, kept, moment),
        reason=reason,
        meaning=reason.description if reason else "",
        to_do=reason.remedy if reason and not reason.settled else "",
        holds=_holds(prune, file),
    )


def _state(
    prune: Prune, row: Forecast | None, file: FileForecast | None, kept: KeptReason | None, moment: datetime
) -> str:
    """One sentence on what became or becomes of the file here."""
    status, endpoint = prune.status, prune.spec.endpoint.name
    if kept and kept.settled:
        return f"settled: {kept.description}"
    if status.phase == PrunePhase.PRUNED:
        return f"deleted from {endpoint}" if kept is None else "kept"
    if status.phase is None:
        return "is being put on the calendar"
    if decision.undo_asked(prune):
        return "what lies in the trash is being put back, as somebody asked"
    if status.trashed and kept is None and row and row.trash_until:
        return f"in the trash of {endpoint} or to go there, emptied not before {row.trash_until:%Y-%m-%d %H:%M} UTC"
    if file is None or file.due is None:
        return "stays: today's configuration never prunes it here"
    held = f", but now {file.reason} would keep it" if file.reason else ""
    late = " and is due" if file.due <= moment else ""
    return f"goes from {endpoint} not before {file.due:%Y-%m-%d %H:%M} UTC{late}{held}"


def _holds(prune: Prune, file: FileForecast | None) -> list[HoldTold]:
    told = [_of_config(one) for one in (file.holds if file else ())]
    note = holding.note_of(prune)
    return [*told, *([hold_told(note, f"dichroism release {prune.name}")] if note else [])]


def _of_config(hold: Hold) -> HoldTold:
    return HoldTold(by=hold.by, reason=hold.reason, until=hold.until, where="stands in holds of config.yml")
