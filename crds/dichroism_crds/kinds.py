"""Scan, Transfer and Prune as pydantic models: the only source of the CRD YAML and of every object we write.

Field names are the API's in snake case; the wire form is camelCase. Limits stand here once and reach the CRDs by
``dichroism_crds.schema``. Sizes are bytes, times are UTC.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, computed_field
from pydantic.alias_generators import to_camel

from dichroism_crds import timestamps
from dichroism_crds.names import API_VERSION
from dichroism_crds.paths import MAX_PATH, RELATIVE_PATH_PATTERN
from dichroism_crds.reasons import Reason

MAX_TRANSFER_ITEMS = 4000
"""Items of a Transfer or Prune; a hop to disk takes at most 1,000 of them (``planning``)."""
MAX_FAILED_SHOWN = 100
MAX_MESSAGE = 1024
MAX_SUPERSEDED = 8
"""Replaced contents that a Scan names; catalogue and manifests know the older ones."""


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Timestamp = Annotated[
    datetime,
    AfterValidator(_utc),
    PlainSerializer(timestamps.format_time, return_type=str, when_used="json"),
    Field(json_schema_extra={"format": "date-time", "maxLength": 40}),
]
Due = Annotated[Timestamp, PlainSerializer(timestamps.format_due, return_type=str, when_used="json")]
ModifiedAt = Annotated[Timestamp, Field(description="Modification time of the file, floored to microseconds.")]
ShortName = Annotated[str, Field(min_length=1, max_length=63)]
BeamlineName = Annotated[ShortName, Field(description="Name of the beamline in config.yml.")]
EndpointName = Annotated[ShortName, Field(description="Name of the endpoint in config.yml.")]
ObjectName = Annotated[str, Field(min_length=1, max_length=253)]
RelativePath = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_PATH,
        json_schema_extra={"pattern": RELATIVE_PATH_PATTERN},
        description="Path relative to the endpoint's root.",
    ),
]
"""The API server enforces the pattern; the models do not, so that what it once accepted can always be read."""
Size = Annotated[int, Field(ge=0, le=2**50, json_schema_extra={"format": "int64"}, description="Bytes of the file.")]
"""Bytes of one file, at most 1 PiB."""
Count = Annotated[int, Field(ge=0, le=2**62, json_schema_extra={"format": "int64"})]
"""A number of files or bytes; the sizes of a full list of items add up to less than the limit."""
Message = Annotated[str, Field(max_length=MAX_MESSAGE, description="What happens now, or what is wrong, for people.")]
ReasonText = Annotated[str, Field(max_length=64, description="One word of a closed list, for programs.")]
Uuid = Annotated[str, Field(max_length=64, description="The Globus collection, where there is one.")]
ScanName = Annotated[ObjectName, Field(description="Name of the Scan of the file.")]


class Model(BaseModel):
    """Base of everything on the wire: camelCase, unknown fields of a newer version ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", use_enum_values=False)

    def wire(self) -> dict[str, Any]:
        """The JSON form, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Value(Model, frozen=True):
    """A part of a status that is replaced, never changed: two versions of an object may share it."""


class Checksum(Value):
    """A digest of a whole file."""

    algorithm: Literal["sha256"] = Field(default="sha256", description="How it was made.")
    value: str = Field(pattern=r"^[0-9a-f]{64}$", max_length=64, description="The digest in hexadecimal.")


class Content(Value):
    """What a file was when it was looked at; two contents of one path differ in one of both."""

    size: Size
    modified_at: ModifiedAt


class ConditionStatus(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Value):
    """A Kubernetes condition; ``lastTransitionTime`` is absent until the first transition."""

    type: str = Field(min_length=1, max_length=63, description="What the condition is about, such as a step.")
    status: ConditionStatus = ConditionStatus.UNKNOWN
    reason: ReasonText = Reason.WAITING.value
    message: Message = ""
    observed_generation: Count | None = Field(default=None, description="Generation of spec that was looked at.")
    last_transition_time: Timestamp | None = Field(default=None, description="When the status last became another one.")

    def moved(self, status: ConditionStatus, reason: str, message: str, generation: int, now: datetime) -> "Condition":
        """The condition after another look; its transition time changes only when its status does."""
        same = self.status == status and self.last_transition_time is not None
        return Condition(
            type=self.type,
            status=status,
            reason=str(reason),
            message=message[:MAX_MESSAGE],
            observed_generation=generation,
            last_transition_time=self.last_transition_time if same else now,
        )


class Step(StrEnum):
    """The conditions of a Scan that are steps, in the card's order, and the summary ``Succeeded``."""

    TRANSFERRED = "Transferred"
    CATALOGUED = "Catalogued"
    ARCHIVED = "Archived"
    INGESTED = "Ingested"
    PRUNE_SCHEDULED = "PruneScheduled"


SUCCEEDED = "Succeeded"
SCAN_CONDITIONS = (*(step.value for step in Step), SUCCEEDED)


class ScanPhase(StrEnum):
    """Derived from the conditions, for people and field selectors."""

    PENDING = "Pending"
    TRANSFERRED = "Transferred"
    ARCHIVED = "Archived"
    INGESTED = "Ingested"
    PRUNE_SCHEDULED = "PruneScheduled"
    FAILED = "Failed"
    REFUSED = "Refused"


class Copy(Value):
    """One verified copy of the content on an endpoint; ``path`` is the bundle where ``member`` is given."""

    endpoint: EndpointName
    path: RelativePath
    member: RelativePath | None = Field(default=None, description="Name of the file in the bundle.")
    size: Size
    checksum: Checksum | None = Field(
        default=None, description="Absent where the mover had it compared but nobody here could read it."
    )
    verified_at: Timestamp = Field(description="When size and checksum were compared.")
    transfer: ObjectName | None = Field(default=None, description="The Transfer that made or found it.")

    @property
    def sha256(self) -> str | None:
        """The digest, None where none is known: such a copy is never enough to delete another one."""
        return self.checksum.value if self.checksum else None


class SupersededCopy(Copy):
    """A tape copy of a content that a newer one replaced. It stays on tape, and can be restored."""

    modified_at: Timestamp = Field(description="Modification time of the content that it holds.")


class Dataset(Value):
    """The catalogue entry."""

    pid: str = Field(min_length=1, max_length=256, description="Its persistent identifier in SciCat.")
    url: str | None = Field(default=None, max_length=2048, description="Its page, where the address is configured.")
    proposal: str | None = Field(default=None, max_length=128, description="spec.proposal as it was catalogued.")
    quick_look: str | None = Field(
        default=None,
        max_length=256,
        description="'attached', or why there is none or an outdated plot. Absent: not yet.",
    )


class ScheduledPrune(Value):
    """A configured prune of the file and the Prune object in which it stands."""

    endpoint: EndpointName
    not_before: Due = Field(description="The first moment at which the file may go.")
    prune: ObjectName = Field(description="Name of the Prune.")


class Attempts(Model):
    """Failures that were this file's own, per step; an outage of a system never counts."""

    transferred: Count = Field(default=0, description="Failures of Transferred.")
    catalogued: Count = Field(default=0, description="Failures of Catalogued.")
    archived: Count = Field(default=0, description="Failures of Archived.")
    ingested: Count = Field(default=0, description="Failures of Ingested.")
    prune_scheduled: Count = Field(default=0, description="Failures of PruneScheduled.")
    retry_at: Timestamp | None = Field(default=None, description="No failed step is tried again before.")


class ScanSpec(Model):
    """One finished file, relative to the source endpoint of its beamline."""

    beamline: BeamlineName
    path: str = Field(
        min_length=1, max_length=MAX_PATH, description="Path of the file relative to the source endpoint's root."
    )
    size: Size = Field(description="Bytes.")
    modified_at: ModifiedAt
    proposal: str | None = Field(default=None, max_length=128, description="Proposal or ESAF, such as ALS-12345.")
    export_controlled: bool = Field(default=False, description="True: the Scan is refused and nothing is moved.")
    suspend: bool = Field(default=False, description="True: no further step starts, nothing of the file is pruned.")


class ScanStatus(Model):
    """The life of the file so far. The conditions are the truth, ``phase`` and ``message`` are derived from them."""

    observed_generation: Count | None = Field(default=None, description="Generation of spec that was looked at.")
    content: Content | None = Field(default=None, description="The content that the conditions speak about.")
    phase: ScanPhase = ScanPhase.PENDING
    message: Message = ""
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=12,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    copies: list[Copy] = Field(default_factory=list, max_length=8, description="Verified copies of ``content`` only.")
    superseded: list[SupersededCopy] = Field(
        default_factory=list,
        max_length=MAX_SUPERSEDED,
        description="Tape copies of the latest contents that were replaced, newest first.",
    )
    dataset: Dataset | None = None
    prune: list[ScheduledPrune] = Field(default_factory=list, max_length=8)
    attempts: Attempts = Field(default_factory=Attempts)
    last_handled_retry: str | None = Field(
        default=None, max_length=256, description="Value of the annotation retry that was taken up last."
    )

    def to_change(self) -> Self:
        """A copy to be changed, at a fraction of the price of a deep one."""
        own = {name: list(value) for name, value in self if isinstance(value, list)}
        return self.model_copy(update={**own, "attempts": self.attempts.model_copy()})


class TransferItem(Model):
    """One file of a Transfer."""

    scan: ScanName
    uid: str = Field(max_length=36, description="uid of that Scan: a new one of the same name is told nothing.")
    path: RelativePath
    size: Size
    modified_at: ModifiedAt


class Bundle(Model):
    """The tape bundle that a Transfer to tape makes."""

    path: RelativePath
    plan_sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", max_length=64, description="Digest over path, size and time of all items."
    )


class TransferSpec(Model):
    """One batch on one hop; immutable as a whole."""

    beamline: BeamlineName
    source: EndpointName
    destination: EndpointName
    submission_id: str = Field(min_length=1, max_length=64, description="The mover's idempotency key.")
    bundle: Bundle | None = None
    items: list[TransferItem] = Field(min_length=1, max_length=MAX_TRANSFER_ITEMS)

    @computed_field(description="Number of items, for people.")  # type: ignore[prop-decorator]
    @property
    def files(self) -> Count:
        """Number of items; on the wire because a printer column cannot count."""
        return len(self.items)

    @computed_field(description="Bytes of all items, for people.")  # type: ignore[prop-decorator]
    @property
    def bytes(self) -> Count:
        """Bytes of all items; on the wire because a printer column cannot add."""
        return sum(item.size for item in self.items)


class TransferPhase(StrEnum):
    """Life of a Transfer."""

    PENDING = "Pending"
    ACTIVE = "Active"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class FailedItem(Model):
    """One file that a Transfer could not carry."""

    path: RelativePath
    reason: ReasonText
    message: Message = ""


class TransferStatus(Model):
    """What the mover reports. ``phase`` becomes final only after every Scan was told."""

    phase: TransferPhase = TransferPhase.PENDING
    task_id: str | None = Field(default=None, max_length=128, description="The mover's task.")
    started_at: Timestamp | None = Field(default=None, description="When the task was first seen to run.")
    completed_at: Timestamp | None = Field(default=None, description="When every Scan had been told.")
    files: Count = Field(default=0, description="Files verified at the destination.")
    bytes: Count = Field(default=0, description="Bytes of them.")
    faults: Count = Field(default=0, description="Faults that the mover reports and overcame.")
    message: Message = ""
    failed_count: Count = Field(default=0, description="Files that could not be carried.")
    failed_items: list[FailedItem] = Field(default_factory=list, max_length=MAX_FAILED_SHOWN)
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


class RecordedEndpoint(Model):
    """An endpoint as it was when the prune was scheduled; today's must be the same."""

    name: EndpointName
    uuid: Uuid | None = None
    root_path: str = Field(min_length=2, max_length=MAX_PATH, description="The folder at the site.")


class PruneItem(Model):
    """One file that is to go."""

    scan: ScanName
    proposal: str | None = Field(default=None, max_length=128, description="spec.proposal of the Scan, for holds.")
    path: RelativePath
    size: Size
    modified_at: ModifiedAt
    checksum: Checksum | None = None
    dataset: str | None = Field(default=None, max_length=256, description="pid of the catalogue entry.")
    anchor: Timestamp = Field(description="verifiedAt of the last needed copy; retention counts from here.")
    member: RelativePath | None = Field(default=None, description="Name in the bundle where it is not ``path``.")
    bundle: Count | None = Field(default=None, description="Index into spec.bundles.")


class PruneBundle(Model):
    """A tape bundle that holds items of this Prune."""

    endpoint: EndpointName
    path: RelativePath


class PruneSpec(Model):
    """Files to be deleted from one endpoint from one moment on; immutable but for ``suspend``."""

    beamline: BeamlineName
    endpoint: RecordedEndpoint
    not_before: Due = Field(description="The first moment at which all items are due.")
    suspend: bool = Field(default=False, description="True: nothing of it is pruned for now.")
    needs: list[RecordedEndpoint] = Field(
        min_length=1, max_length=8, description="Endpoints that must hold a verified copy, as they were at scheduling."
    )
    bundles: list[PruneBundle] = Field(default_factory=list, max_length=MAX_TRANSFER_ITEMS)
    items: list[PruneItem] = Field(min_length=1, max_length=MAX_TRANSFER_ITEMS)

    @computed_field(description="Number of items, for people.")  # type: ignore[prop-decorator]
    @property
    def files(self) -> Count:
        """Number of items; on the wire because a printer column cannot count."""
        return len(self.items)

    @computed_field(description="Bytes of all items, for people.")  # type: ignore[prop-decorator]
    @property
    def bytes(self) -> Count:
        """Bytes of all items; on the wire because a printer column cannot add."""
        return sum(item.size for item in self.items)


class PrunePhase(StrEnum):
    """Life of a Prune; without a phase its Scans were not told yet."""

    SCHEDULED = "Scheduled"
    HELD = "Held"
    RUNNING = "Running"
    TRASHED = "Trashed"
    PRUNED = "Pruned"
    INCOMPLETE = "Incomplete"


class KeptItem(Model):
    """A due file that was kept."""

    path: RelativePath
    reason: ReasonText


class PruneStatus(Model):
    """What the prune job did so far."""

    phase: PrunePhase | None = None
    message: Message = ""
    trashed: Count = Field(default=0, description="Files that lie in the trash.")
    trashed_at: Timestamp | None = Field(
        default=None, description="When the last file went to the trash; it is emptied some days later."
    )
    deleted: Count = Field(default=0, description="Files that were deleted from the trash.")
    bytes_freed: Count = Field(default=0, description="Bytes of them.")
    kept_count: Count = Field(default=0, description="Due files that were kept; the first 100 are named.")
    kept: list[KeptItem] = Field(default_factory=list, max_length=MAX_FAILED_SHOWN)
    attempts: Count = Field(default=0, description="Runs in a row that left files for a reason that may pass.")
    retry_at: Timestamp | None = Field(default=None, description="It is not tried again before.")
    conditions: list[Condition] = Field(
        default_factory=list,
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )


class Metadata(Model):
    """The part of an object's metadata that we use."""

    name: str
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int = 1
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Resource(Model):
    """Base of the three kinds."""

    kind: ClassVar[str]
    plural: ClassVar[str]
    metadata: Metadata

    @classmethod
    def parse(cls, wire: dict[str, Any]) -> Self:
        """An object as the API served it.

        Raises:
            pydantic.ValidationError: it does not fit this version's models.
        """
        return cls.model_validate(wire)

    def to_wire(self) -> dict[str, Any]:
        """The whole object as the API takes it."""
        return {"apiVersion": API_VERSION, "kind": self.kind, **self.wire()}

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.metadata.name


class Scan(Resource):
    """One finished file and its life."""

    kind = "Scan"
    plural = "scans"
    spec: ScanSpec
    status: ScanStatus = Field(default_factory=ScanStatus)

    @property
    def content(self) -> Content:
        """The content that spec describes."""
        return Content(size=self.spec.size, modified_at=self.spec.modified_at)

    def condition(self, kind: str) -> Condition:
        """The condition of that type; an absent one reads as Unknown, as the API conventions say."""
        return find_condition(self.status.conditions, kind)

    @property
    def waits_for_tape_since(self) -> datetime | None:
        """When it could first have gone into a tape bundle; what happens to other steps makes it no younger."""
        moments = [self.condition(step).last_transition_time for step in (Step.TRANSFERRED, Step.ARCHIVED)]
        return max((moment for moment in moments if moment), default=None)

    def copy_on(self, endpoint: str) -> Copy | None:
        """The verified copy on an endpoint."""
        return next((copy for copy in self.status.copies if copy.endpoint == endpoint), None)


class Transfer(Resource):
    """One batch on one hop."""

    kind = "Transfer"
    plural = "transfers"
    spec: TransferSpec
    status: TransferStatus = Field(default_factory=TransferStatus)

    @property
    def finished(self) -> bool:
        """Whether every Scan was told and the phase is final."""
        return self.status.phase in (TransferPhase.SUCCEEDED, TransferPhase.FAILED)


class Prune(Resource):
    """Files to be deleted from one endpoint from one moment on."""

    kind = "Prune"
    plural = "prunes"
    spec: PruneSpec
    status: PruneStatus = Field(default_factory=PruneStatus)


KINDS: tuple[type[Resource], ...] = (Scan, Transfer, Prune)


def find_condition(conditions: Iterable[Condition], kind: str) -> Condition:
    """The condition of that type, Unknown when it is absent."""
    return next((one for one in conditions if one.type == kind), None) or Condition(type=kind)
