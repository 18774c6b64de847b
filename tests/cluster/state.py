"""The state folder of one cluster: what is recorded about it and where its files are.

A cluster is one folder, so several can run at once. ``cluster.json`` is the record; it is written before anything is
started, so whatever happens to the caller, the next ``up`` or ``down`` finds what is to be stopped.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.processes import Process

MARK = "DICHROISM_TEST_CLUSTER"
"""Environment variable that everything of a cluster carries; its value is the cluster's id."""

_RECORD = "cluster.json"
_KEPT = "logs"
_LOCK = ".lock"


@dataclass
class Record:
    """What is known about a cluster.

    Attributes:
        provider: who provides it.
        cluster_id: random; value of the mark, and part of the kind cluster's name.
        ports: by component.
        processes: by component.
    """

    provider: str
    cluster_id: str = field(default_factory=lambda: secrets.token_hex(8))
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """The folder. Secrets are in it, so it is readable by its owner only."""

    folder: Path

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def logs(self) -> Path:
        """Folder of the components' logs, kept by ``down``."""
        return self.folder / "logs"

    def pod_log(self, namespace: str, pod: str) -> Path:
        """File with what a pod wrote, where pods run as local processes."""
        return self.logs / "pods" / namespace / f"{pod}.log"

    def read(self) -> Record | None:
        """The record, or None where no cluster was started.

        Raises:
            ClusterError: the record is damaged.
        """
        path = self.folder / _RECORD
        try:
            data = json.loads(path.read_text())
            data["processes"] = {name: Process(**process) for name, process in data["processes"].items()}
            return Record(**data)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ClusterError(
                f"{path} cannot be read ({error}), so it is unknown what runs. Look for processes with {MARK} in their "
                f"environment, end them, and remove {self.folder}."
            ) from error

    def write(self, record: Record) -> None:
        """Replace the record in one step."""
        scratch = self.folder / f".{_RECORD}.{os.getpid()}"
        scratch.write_text(json.dumps(asdict(record), indent=2))
        scratch.replace(self.folder / _RECORD)

    def make(self, record: Record) -> None:
        """Make the folder, which is locked and cleared, ready for a new cluster."""
        self.folder.chmod(0o700)
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        self.write(record)

    def clear(self) -> None:
        """Remove everything except the logs. The record goes last: a clearing that was cut short is done again."""
        entries = [entry for entry in self.folder.iterdir() if entry.name not in (_LOCK, _KEPT, _RECORD)]
        for entry in entries:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        (self.folder / _RECORD).unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, so that two processes do not start or stop the same cluster at once.

        Raises:
            ClusterError: the folder holds files that are not a cluster's.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        foreign = [entry.name for entry in self.folder.iterdir() if entry.name not in (_LOCK, _KEPT)]
        if foreign and self.read() is None:
            raise ClusterError(
                f"{self.folder} holds {', '.join(sorted(foreign)[:3])}, which no test cluster put there. "
                "Choose an empty folder with --state."
            )
        with (self.folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
