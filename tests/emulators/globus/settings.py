"""What is decided before the service starts: clients, collections with their rights, limits."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

GUEST = "GCSv5_guest_collection"
MAPPED = "GCSv5_mapped_collection"
ALGORITHMS = ("MD5", "SHA1", "SHA256", "SHA384", "SHA512")


class Kind(StrEnum):
    """What is behind a collection."""

    POSIX = "posix"
    """A file system."""
    HPSS = "hpss"
    """A tape archive: MD5 only, one stream at a time, reading waits for the tape."""


@dataclass(frozen=True, slots=True)
class Client:
    """A service account."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def username(self) -> str:
        """Name of its identity."""
        return f"{self.client_id}@clients.auth.globus.org"


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection over a real folder. Everything but id and root can be changed while the service runs."""

    collection_id: str
    root: str
    display_name: str = ""
    kind: Kind = Kind.POSIX
    entity_type: str = GUEST
    high_assurance: bool = False
    permissions: dict[str, str] | None = None
    """``r`` or ``rw`` by client id; who is not in it has no rights at all. None: everybody may read and write."""
    requires_consent: bool = False
    """Whether a token needs the data_access scope of this collection; for mapped collections only."""
    checksum_algorithms: tuple[str, ...] = ALGORITHMS
    quota_bytes: int | None = None
    """What all files below the root may have together."""
    down: bool = False
    read_only: bool = False
    paused: str | None = None
    """Message of the pause rule that holds all tasks of this collection; None when there is none."""
    bytes_per_second: float | None = None
    """Speed of one file, in virtual time; None: as fast as the disks are."""
    staging_s: float = 0.0
    """Virtual seconds until a file of a tape archive can be read."""
    rename_overwrites: bool = True
    """Whether a rename replaces an existing file, as POSIX does; otherwise it is refused."""

    def with_changes(self, changes: dict[str, Any]) -> "Collection":
        """A copy with other values; raises TypeError for a field that there is not."""
        return replace(self, **_typed(changes))

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Collection":
        """A collection as JSON holds it."""
        return cls(**_typed(document))


def _typed(document: dict[str, Any]) -> dict[str, Any]:
    values = dict(document)
    if "kind" in values:
        values["kind"] = Kind(values["kind"])
        if values["kind"] == Kind.HPSS:
            values.setdefault("checksum_algorithms", ("MD5",))
    if "checksum_algorithms" in values:
        values["checksum_algorithms"] = tuple(values["checksum_algorithms"])
    return values


def hpss(collection_id: str, root: str, **fields: Any) -> Collection:
    """A tape archive."""
    return Collection.from_json({"collection_id": collection_id, "root": root, "kind": Kind.HPSS} | fields)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the service allows and how long it takes. Times are in virtual seconds unless said otherwise."""

    start_up_s: float = 5.0
    """From the turn of a task until its first file; the real service takes several seconds."""
    transfers_at_once: int = 3
    """Transfer tasks that are worked on, for one identity; the others are queued. Documented."""
    deletes_at_once: int = 3
    """The same for delete tasks. Documented."""
    pending_tasks: int = 100
    """Tasks of one identity that have not ended. Documented."""
    requests_per_second: float = 20.0
    """For one identity, in real time; 0: no limit. Documented."""
    metered_s: float = 10.0
    """Real seconds over which requests are counted. Documented."""
    files_at_once: int = 4
    """Files of one task that are copied at the same time."""
    chunk_bytes: int = 128 * 1024
    retry_s: float = 10.0
    """Until a file with an error is tried again; doubled each time, up to 32 times this."""
    page_size: int = 100
    """Rows of one page of successful_transfers and skipped_errors."""
    token_s: float = 172_800.0
    """Life of a token. Documented."""
    history_days: float = 30.0
    """After which nothing about single files is left of an ended task. Documented."""
    task_days: float = 365.0
    """After which nothing is left of a task at all."""
    cancel_s: float = 0.0
    """From the request to cancel until the task has ended; above 0 the answer is ``CancelAccepted``."""
    strict_submission_ids: bool = True
    """Whether only ids are taken that this service gave out."""
    small_tape_file_bytes: int = 100_000_000
    """A smaller file on tape is noted as a bad habit; see ``small_tape_files`` of the state."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One emulated service."""

    clients: tuple[Client, ...]
    collections: tuple[Collection, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def client(self, client_id: str) -> Client | None:
        """The client of that id."""
        return next((client for client in self.clients if client.client_id == client_id), None)

    def to_json(self) -> str:
        """The text that :meth:`load` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """Read a settings file."""
        document = json.loads(path.read_text())
        return cls(
            clients=tuple(Client(**client) for client in document["clients"]),
            collections=tuple(Collection.from_json(collection) for collection in document["collections"]),
            limits=Limits(**document["limits"]),
        )


def collections_of(roots: dict[str, Path]) -> Sequence[Collection]:
    """Plain collections, by id."""
    return [Collection(collection_id, str(root), display_name=root.name) for collection_id, root in roots.items()]
