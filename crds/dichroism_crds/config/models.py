"""The document ``config.yml`` as pydantic models. Every setting is described here, with its unit, default and reason.

Only what one section can say about itself is checked here. What needs two sections (names, roots, the ``needs`` graph)
is in ``checks``, reading the file in ``loader``.
"""

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dichroism_crds.config.fields import (
    CollectionPath,
    Mount,
    PositiveDuration,
    PositiveSize,
    RootPath,
    Section,
    SentinelName,
    Text,
    WebAddress,
)
from dichroism_crds.config.holds import Hold
from dichroism_crds.config.quantities import Duration, Moment
from dichroism_crds.kinds import MAX_TRANSFER_ITEMS
from dichroism_crds.paths import path_covered

MINIMUM_HISTORY = timedelta(hours=24)
"""No Scan is collected earlier, whatever ``history`` says: a day is what a person needs to look at what happened."""

MoverName = Literal["filesystem", "globus", "sfapi"]

ENDPOINT_NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$"
"""At most 22 characters: with a beamline of 16, ``<beamline>-<source>-<destination>`` still is a label value (63)."""
BEAMLINE_NAME_PATTERN = r"^[A-Z0-9]{1,16}$"
EMAIL_PATTERN = r"^[^@\s;]+@[^@\s;]+(;[^@\s;]+@[^@\s;]+)*$"
PID_PREFIX_PATTERN = r"^[A-Za-z0-9._/-]*$"
PLAIN_WORD_PATTERN = r"^[A-Za-z0-9_.-]{1,64}$"
PLAIN_PATH_PATTERN = r"^[A-Za-z0-9_./+-]{1,256}$"
BATCH_OPTION_PATTERN = r"^-[A-Za-z0-9_.,:=+/-]{1,120}$"
UUID_PATTERN = r"^([0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|<[^<>]+>)$"

PATTERN_RULES = {
    ENDPOINT_NAME_PATTERN: "is not a name for an endpoint: lower-case letters, digits and inner '-', at most 22",
    BEAMLINE_NAME_PATTERN: "is not a name for a beamline: at most 16 capital letters and digits, such as BL402",
    UUID_PATTERN: "is not a UUID such as 1b2c3d4e-0000-4000-8000-1234567890ab",
    EMAIL_PATTERN: "is not a mail address; separate several with ';'",
    PLAIN_WORD_PATTERN: "may hold letters, digits and _ . - only, at most 64",
    PLAIN_PATH_PATTERN: "may hold letters, digits and _ . / + - only, at most 256",
    BATCH_OPTION_PATTERN: "is not an option of the batch system such as --qos=xfer",
    PID_PREFIX_PATTERN: "may hold letters, digits and . _ / - only",
}
"""What a person is told when a pattern does not match."""


def _at_least_minimum_history(age: timedelta) -> timedelta:
    if age < MINIMUM_HISTORY:
        raise ValueError("must be at least 24h: finished Scans stay a day, so that a person can look at them")
    return age


class Endpoint(Section):
    """One folder at one site. All recorded paths are relative to its root."""

    name: str = Field(
        pattern=ENDPOINT_NAME_PATTERN,
        description="Name of the endpoint: lower-case letters, digits and '-', at most 22 characters, because it "
        "becomes part of object names and labels. Default: the key; if given, it must be the key.",
    )
    root_path: RootPath = Field(
        description="POSIX path of the folder at the site, absolute. No default. Never '/': nothing outside this "
        "folder is ever read, moved or deleted.",
    )
    uri: Text | None = Field(
        default=None,
        description="Host name of the site, such as nersc.gov. Default: none. Tells which endpoints lie on the same "
        "storage, so that overlapping roots are found.",
    )
    uuid: str | None = Field(
        default=None,
        pattern=UUID_PATTERN,
        description="UUID of the Globus collection. Default: none; needed by the mover globus. A placeholder such as "
        "<endpoint-uuid> passes the check with a warning, but no operator starts a Globus hop with it.",
    )
    globus_path: CollectionPath | None = Field(
        default=None,
        description="The same folder as the collection names it. Default: root_path. A collection may start at another "
        "folder than the site's file system.",
    )
    mount: Mount | None = Field(
        default=None,
        description="The same folder as this process sees it. Default: none; needed by the mover filesystem and by the "
        "watcher. DICHROISM_MOUNT_<NAME> in the environment overrides it, because it differs between hosts.",
    )

    @property
    def collection_path(self) -> str:
        """The folder as the Globus collection names it."""
        return self.globus_path or self.root_path

    @property
    def has_placeholder(self) -> bool:
        """Whether the uuid still is the placeholder of an example."""
        return self.uuid is not None and self.uuid.startswith("<")


DEFAULT_EXCLUDE = ("*.tmp", "*.part", "~*", ".*", "desktop.ini", "Thumbs.db")


class Watch(Section):
    """Which files of which endpoint are scans, and when one is finished."""

    root: str = Field(description="Endpoint on which the files appear. No default.")
    since: Moment = Field(
        description="Files last modified before this day (midnight UTC) or time are not taken. No default: years of "
        "older files must not be moved by surprise; a backfill does that on demand.",
    )
    quiet_period: PositiveDuration = Field(
        default=timedelta(seconds=180),
        description="A file is finished when its size and modification time stayed the same for this long. Default "
        "180s: a file may grow by one sweep at a time, and sweeps are about 94 s apart.",
    )
    exclude: tuple[Text, ...] = Field(
        default=DEFAULT_EXCLUDE,
        description="Shell patterns of files that are never scans, for the file name or the path below the root. "
        "Default: temporary and hidden files and what Windows leaves in folders. A given list replaces the default.",
    )
    sentinel: SentinelName | None = Field(
        default=None,
        description="Name of a file beside the scan file by which the control system tells its end, with {name} or "
        "{stem} for the scan file's name with or without its suffix, such as '{stem}.done'. Default: none. Once it is "
        "there, and not older than the scan file, the file is taken after a second; without it after quiet_period.",
    )
    interval: PositiveDuration = Field(
        default=timedelta(seconds=10),
        description="Time between two looks at the folders that changed or are the newest. Default 10s: network file "
        "systems send no notice of new files.",
    )
    full_pass: PositiveDuration = Field(
        default=timedelta(seconds=60),
        description="Time between two passes over the whole tree, at least ten times as long as a pass takes. Default "
        "60s: a pass finds everything, whatever was not noticed, and takes seconds for a million files.",
    )
    events: bool = Field(
        default=True,
        description="Whether the kernel's notices of new files are used, to be quicker than interval. Default true. "
        "Set false on network file systems, where notices come only for what this host itself writes.",
    )


class Hop(Section):
    """One way that every file takes. The path relative to the root stays the same."""

    source: str = Field(alias="from", description="Endpoint from which the files come. No default.")
    destination: str = Field(alias="to", description="Endpoint to which they go. No default.")
    mover: MoverName = Field(
        default="filesystem",
        description="What carries the files: filesystem (both endpoints mounted here), globus (Globus Transfer) or "
        "sfapi (tape at NERSC by the Superfacility API). Default filesystem: it needs no account anywhere.",
    )


class BundleLimits(Section):
    """When a tape bundle is closed: the first limit that is reached."""

    target: PositiveSize = Field(
        default=100 * 10**9,
        description="Size of the members together. Default 100GB: tape wants few large files.",
    )
    max_files: int = Field(
        default=MAX_TRANSFER_ITEMS,
        ge=1,
        le=MAX_TRANSFER_ITEMS,
        description="Number of members. Default and most 4000: a bundle is one Transfer object, which has to fit in "
        "etcd.",
    )
    max_age: PositiveDuration = Field(
        default=timedelta(hours=24),
        description="Age of the oldest waiting file. Default 24h: no file waits longer for its tape copy than a day.",
    )


class ArchiveHop(Hop):
    """The hop to tape, in bundles."""

    bundle: BundleLimits = Field(default_factory=BundleLimits, description="When a bundle is closed.")
    verify: Literal["full", "stored"] = Field(
        default="full",
        description="What must be proven of a bundle before the first of its files is deleted where it was archived "
        "from: full (once, the whole bundle is read back from tape) or stored (the checksum that the archive keeps "
        "with it). Default full: until then nobody has read what was written. The mover filesystem reads everything "
        "each time.",
    )


ProposalSource = Literal["scan", "sidecar", "folders"]


def _regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return text


class Proposals(Section):
    """From where the proposal of a scan is known. It becomes the owner group, so it decides who sees the data."""

    order: tuple[ProposalSource, ...] = Field(
        default=("scan", "sidecar", "folders"),
        description="The first that names a proposal counts: scan (spec.proposal of the Scan), sidecar (the .sdc.json "
        "beside the file), folders (the map below). Default: in this order, the most special first. What is left out "
        "is not asked.",
    )
    folders: dict[Text, Text] = Field(
        default_factory=dict,
        description="Proposal by folder, file or shell pattern below the root, such as '2026/2611*': ALS-12345; the "
        "first that fits counts. Default: none.",
    )
    sidecar_pattern: Annotated[str, AfterValidator(_regular_expression)] = Field(
        default=r"[A-Z]{2,5}-[0-9]{3,6}(-[0-9]{3})?",
        max_length=256,
        description="Regular expression that a sidecar's proposal must match as a whole. Default: forms such as "
        "ALS-12345 and DD-00598-001. People type sidecars, and whatever is taken becomes the owner of the data.",
    )

    def of_folder(self, path: str) -> str | None:
        """The proposal that the map gives a file."""
        return next((named for pattern, named in self.folders.items() if path_covered(path, pattern)), None)


class Ingest(Section):
    """How the scans stand in the catalogue."""

    catalogue: Literal["scicat"] = Field(default="scicat", description="Which catalogue. Default and only one: scicat.")
    owner_group: Text = Field(
        description="Group that owns the datasets when the proposal of a scan is not known. No default: it decides "
        "who can see the data, and must be spelled like the group that users have at login.",
    )
    access_groups: tuple[Text, ...] = Field(
        default=(),
        description="Groups that may read the datasets. Default: the number of the beamline, such as 4.0.2, and the "
        "first group of our own catalogue account, which cannot see what it created without one.",
    )
    proposals: Proposals = Field(default_factory=Proposals, description="From where the proposal of a scan is known.")
    owner: Text = Field(default="unknown", description="Person or group shown as the owner. Default: unknown.")
    contact_email: str = Field(
        pattern=EMAIL_PATTERN,
        max_length=256,
        description="Whom to ask about the data; several addresses with ';' between. No default: SciCat refuses a "
        "dataset without it.",
    )
    location: str = Field(
        default="",
        max_length=256,
        description="Where it was measured, such as 'ALS 4.0.2'. Default: made from the name of a beamline such as "
        "BL402; other beamlines must give it.",
    )


class PruneRule(Section):
    """When a copy may be deleted from one endpoint."""

    after: PositiveDuration = Field(
        description="Retention, counted from the moment at which the last needed copy was verified. No default. Under "
        "7d the check warns: a mistake would be noticed too late.",
    )
    needs: tuple[str, ...] = Field(
        min_length=1,
        max_length=8,
        description="Endpoints that must hold a verified copy at the moment of deletion. No default. Following needs "
        "must always end at an endpoint that is never pruned.",
    )
    proposals: dict[str, PositiveDuration] = Field(
        default_factory=dict,
        max_length=1000,
        description="Another retention for the files of single proposals, such as {ALS-12345: 720d}; upper and lower "
        "case are equal. Default: none. A file whose Scan and Prune name different proposals gets the longer one.",
    )
    remove_empty_folders: bool = Field(
        default=False,
        description="Whether folders that pruning left empty are removed: below the root, when nothing in them changed "
        "for a day; then the folder above likewise. Default false: folders of users stay. Not for an endpoint of the "
        "mover globus, which removes folders with all that is in them.",
    )

    def retention(self, *proposals: str | None) -> timedelta:
        """How long a file is kept that belongs to one of these proposals, as far as they are known."""
        special = {name.strip().casefold(): kept for name, kept in self.proposals.items()}
        return max(special.get((one or "").strip().casefold(), self.after) for one in proposals or (None,))


class Beamline(Section):
    """The way of one beamline's scans."""

    name: str = Field(
        pattern=BEAMLINE_NAME_PATTERN,
        description="Name of the beamline: capital letters and digits, at most 16. Default: the key; if given, it "
        "must be the key.",
    )
    title: Text | None = Field(default=None, description="Name for people, such as ALS Beamline 4.0.2. Default: none.")
    watch: Watch = Field(description="Where finished files are found.")
    transfer: Hop = Field(description="The copy from the acquisition storage, in real time.")
    ingest: Ingest | None = Field(default=None, description="The catalogue step. Default: none, nothing is catalogued.")
    archive: ArchiveHop | None = Field(default=None, description="The tape step. Default: none, nothing is archived.")
    prune: dict[str, PruneRule] = Field(
        default_factory=dict,
        description="Which endpoints are pruned, by name. Default: none, nothing is ever deleted.",
    )

    @property
    def produces(self) -> tuple[str, ...]:
        """Endpoints on which a scan of this beamline gets a copy, in the order of the steps; the source comes first."""
        archived = (self.archive.destination,) if self.archive else ()
        return (self.watch.root, self.transfer.destination, *archived)


class History(Section):
    """How long finished Scans stay in the cluster. Data is never touched by this."""

    scans: Annotated[Duration, AfterValidator(_at_least_minimum_history)] = Field(
        default=timedelta(days=14),
        description="Age after the last change at which a finished Scan is collected. Default 14d, at least 24h.",
    )
    keep: int = Field(
        default=5000,
        ge=0,
        le=100_000,
        description="Number of finished Scans that may stay. Default 5000: it bounds etcd and the operator's memory.",
    )


class Schedule(Section):
    """How deletions are put on the calendar."""

    flush: PositiveDuration = Field(
        default=timedelta(hours=1),
        description="A Prune object is written when it is full or when its first file waited this long. Default 1h: "
        "few, well-filled objects. Shorter only for a demonstration.",
    )


class Trash(Section):
    """What happens between the rename into the trash and the deletion."""

    keep: Duration = Field(
        default=timedelta(days=7),
        description="How long a pruned file lies in the trash of its endpoint. Default 7d: a week to notice a mistake.",
    )


class PruneCaps(Section):
    """Most that one run of a prune job does, so that a mistake shows before everything is gone."""

    max_files: int = Field(default=20_000, ge=1, description="Files per run. Default 20000: about a month of scans.")
    max_bytes: PositiveSize = Field(default=10**12, description="Bytes per run. Default 1TB.")


class SciCat(Section):
    """The SciCat server. Its credentials come from the environment."""

    url: WebAddress = Field(description="Base of the API, such as https://scicat.example.org/api/v3. No default.")
    page_url: WebAddress | None = Field(
        default=None,
        description="Base of the dataset pages for people; the pid is appended. Default: none, no link is shown.",
    )
    pid_prefix: str = Field(
        default="",
        pattern=PID_PREFIX_PATTERN,
        max_length=64,
        description="Put before '/' and the identifier of each dataset. Default: empty. Never change it later: every "
        "dataset would be created a second time.",
    )


class Superfacility(Section):
    """The Superfacility API of NERSC, and its batch system. The credentials come from the environment."""

    url: WebAddress = Field(
        default="https://api.nersc.gov/api/v1.2",
        description="Base of the API. Default: that of NERSC.",
    )
    token_url: WebAddress = Field(
        default="https://oidc.nersc.gov/c2id/token",
        description="Where a login becomes a token. Default: that of NERSC.",
    )
    machine: str = Field(
        default="perlmutter",
        pattern=PLAIN_WORD_PATTERN,
        description="Name of the machine whose batch system runs the jobs and whose file systems are used. Default "
        "perlmutter.",
    )
    account: str | None = Field(
        default=None,
        pattern=PLAIN_WORD_PATTERN,
        description="Project that the jobs belong to, such as als. Default: the user's own.",
    )
    options: tuple[Annotated[str, Field(pattern=BATCH_OPTION_PATTERN)], ...] = Field(
        default=("--qos=xfer", "--constraint=cron"),
        max_length=20,
        description="Further options of the batch system. Default: the queue for transfers, from whose nodes alone the "
        "tape archive is reached; it charges nothing.",
    )
    time_limit: PositiveDuration = Field(
        default=timedelta(hours=48),
        description="When the batch system ends a job. Default 48h, the most that the queue for transfers gives.",
    )
    prepare: tuple[Text, ...] = Field(
        default=("module load python",),
        max_length=20,
        description="Lines of shell in front of the program, after which python3 is 3.9 or newer. Default: 'module "
        "load python'.",
    )
    hsi: str = Field(
        default="hsi",
        pattern=PLAIN_PATH_PATTERN,
        description="The program that reaches the tape archive. Default hsi.",
    )


class Prefect(Section):
    """The mirror of run states for people who look there. Best effort."""

    enabled: bool = Field(
        default=False,
        description="Whether run states are mirrored to Prefect. Default false. PREFECT_API_URL says where it is.",
    )
    take_over: bool = Field(
        default=False,
        alias="takeOver",
        description="Whether work pools and deployments of our names are taken over although others use them. Default "
        "false: they are left alone, and nothing is mirrored. A pool that is taken over is paused for good.",
    )
    batches: bool = Field(
        default=True,
        description="Whether each batch of files on its way (a Transfer) has a run of run_dichroism_dispatcher. "
        "Default true.",
    )
    requests_per_minute: int | None = Field(
        default=None,
        alias="requestsPerMinute",
        ge=1,
        le=100_000,
        description="Most requests a minute. Default: no limit for a server of your own; 200 with an API key, because "
        "an account of Prefect Cloud has one budget for all its users.",
    )


class Config(Section):
    """The whole document, checked. In the file, endpoints are the top-level keys that name no section."""

    endpoints: dict[str, Endpoint] = Field(description="Endpoints by name.")
    beamlines: dict[str, Beamline] = Field(min_length=1, description="Beamlines by name.")
    holds: tuple[Hold, ...] = Field(default=(), description="Files that are not deleted. Default: none.")
    history: History = Field(default_factory=History, description="How long finished Scans stay.")
    attempts: int = Field(
        default=5,
        ge=1,
        le=100,
        description="How often a step of one file is tried when the failure is that file's own; then the Scan is "
        "Failed. Default 5. An outage of a system never counts.",
    )
    schedule: Schedule = Field(default_factory=Schedule, description="How deletions are put on the calendar.")
    trash: Trash = Field(default_factory=Trash, description="How long pruned files can be taken back.")
    prune: PruneCaps = Field(default_factory=PruneCaps, description="Most that one run of a prune job does.")
    scicat: SciCat | None = Field(default=None, description="The catalogue. Needed when a beamline has an ingest step.")
    sfapi: Superfacility = Field(
        default_factory=Superfacility, description="How the mover sfapi reaches NERSC. The defaults fit there."
    )
    prefect: Prefect = Field(default_factory=Prefect, description="The Prefect mirror.")


SECTIONS = frozenset(Config.model_fields) - {"endpoints"}
"""Top-level keys of the file that are not endpoints."""
