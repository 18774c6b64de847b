"""The story of one file as data: what ``dichroism why -o json`` prints, in the wire form of the kinds."""

from pydantic import Field

from dichroism_crds.kinds import Model, Timestamp


class StepTold(Model):
    """One condition of the Scan; ``meaning`` and ``to_do`` are those of its reason, the latter while it matters."""

    type: str
    status: str
    reason: str
    since: Timestamp | None = None
    message: str = ""
    meaning: str = ""
    to_do: str = ""


class CopyTold(Model):
    """A verified copy; ``place`` is the absolute path at the site, of the bundle where there is a ``member``."""

    endpoint: str
    place: str
    member: str | None = None
    size: int
    sha256: str | None = None
    verified_at: Timestamp
    transfer: str | None = None


class TransferTold(Model):
    """A Transfer that names the file; ``trouble`` is what it says of this file alone."""

    name: str
    source: str
    destination: str
    phase: str
    task_id: str | None = None
    files: int
    bundle: str | None = None
    started_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    message: str = ""
    trouble: str = ""


class HoldTold(Model):
    """Somebody's wish that the file stays; ``where`` says what has to be changed to end it."""

    by: str
    reason: str
    until: Timestamp | None = None
    where: str


class PruneTold(Model):
    """A Prune that names the file; ``state`` says what becomes of the file, ``reason`` why it was or would be kept."""

    name: str
    endpoint: str
    phase: str | None = None
    due: Timestamp | None = None
    state: str
    reason: str | None = None
    meaning: str = ""
    to_do: str = ""
    holds: list[HoldTold] = Field(default_factory=list)


class EventTold(Model):
    """One Event about the Scan, a Transfer or a Prune of the file."""

    at: Timestamp | None = None
    reason: str
    about: str
    message: str
    warning: bool


class NextStep(Model):
    """What to do now, with the exact commands. ``person`` says whether anything is asked of a person at all."""

    person: bool
    text: str
    commands: list[str] = Field(default_factory=list)


class DatasetTold(Model):
    """The entry in the catalogue."""

    pid: str
    url: str | None = None
    quick_look: str | None = None


class Story(Model):
    """One file and its life so far."""

    scan: str
    beamline: str
    path: str
    place: str
    size: int
    modified_at: Timestamp
    proposal: str | None = None
    origin: str | None = None
    moved_to: str | None = None
    suspended: bool = False
    held: HoldTold | None = None
    phase: str
    since: Timestamp | None = None
    message: str = ""
    steps: list[StepTold]
    copies: list[CopyTold]
    dataset: DatasetTold | None = None
    transfers: list[TransferTold]
    prunes: list[PruneTold]
    events: list[EventTold]
    unread: list[str]
    next: NextStep


class Missing(Model):
    """A file without a Scan: what is known of it nevertheless."""

    asked: str
    scan: str | None = None
    path: str | None = None
    findings: list[str]
    transfers: list[TransferTold]
    prunes: list[PruneTold]
    events: list[EventTold]
    unread: list[str]
    next: NextStep
