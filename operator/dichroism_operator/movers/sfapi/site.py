"""What is done at the site through the API: folders, files, and jobs of the batch system.

Paths are whole ones there, of plain characters: some of them end up on command lines.
"""

import base64
import binascii
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import FileStat
from dichroism_operator.movers.errors import MoverUnavailable, TaskRefused
from dichroism_operator.movers.sfapi.connection import Connection

PLAIN = re.compile(r"/[A-Za-z0-9_./+-]*\Z")
_NO_SUCH = re.compile(r"No such file|not found|does not exist", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the batch system shows it. ``state`` is its own word, such as PENDING; ``reason`` why it waits."""

    job_id: str
    name: str
    state: str
    reason: str = ""

    @property
    def said(self) -> str:
        """Where it stands, for people."""
        waits = f" ({self.reason})" if self.reason and self.reason != "None" else ""
        return f"job {self.job_id} is {self.state}{waits}"


class Site:
    """One machine of the site."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.settings = connection.settings
        self._machine = self.settings.machine
        self._user: str | None = None

    # who we are

    def user(self) -> str:
        """Name of the account that the client belongs to."""
        if self._user is None:
            answer = self._connection.get("ask who we are", "account/")
            self._user = str(_mapping(answer, "ask who we are").get("name") or "")
        return self._user

    def client_expiry(self, client_id: str) -> datetime | None:
        """When a client of ours ends; None when the service does not tell."""
        listed = self._connection.get("list our clients", "account/clients")
        for one in listed if isinstance(listed, list) else []:
            if isinstance(one, Mapping) and one.get("clientId") == client_id:
                try:
                    return datetime.fromisoformat(str(one.get("expiresAt")))
                except ValueError:
                    return None
        return None

    # files

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        self.command(f"make folder {path}", f"mkdir -p {_plain(path)}")

    def command(self, what: str, line: str) -> str:
        """Run a command at the site; its output.

        Raises:
            MoverUnavailable: it failed; PERMISSION_DENIED and DESTINATION_FULL are told apart.
        """
        answer = self._connection.post(what, f"utilities/command/{self._machine}", {"executable": line})
        result = self._connection.task_result(what, answer)
        if result.get("status") == "error" or result.get("error"):
            raise _site_outage(what, str(result.get("error")))
        return str(result.get("output") or "")

    def stat(self, path: str) -> FileStat | None:
        """A regular file, no link followed at its end; None when there is none."""
        what = f"look at {path}"
        line = f"stat --printf '%F|%s|%Y' -- {shlex.quote(path)}"
        answer = self._connection.post(what, f"utilities/command/{self._machine}", {"executable": line})
        result = self._connection.task_result(what, answer)
        if error := str(result.get("error") or ""):
            if _NO_SUCH.search(error) or "Not a directory" in error:
                return None
            raise _site_outage(what, error)
        kind, _, rest = str(result.get("output") or "").partition("|")
        size, _, seconds = rest.partition("|")
        if not kind.startswith("regular") or not (size.isdigit() and seconds.strip().isdigit()):
            return None
        return FileStat(int(size), datetime.fromtimestamp(int(seconds), UTC))

    def upload(self, path: str, content: bytes) -> None:
        """Write a file, whole; what arrived is compared by its size.

        Raises:
            MoverUnavailable: it could not be written.
        """
        what = f"upload {path}"
        url = f"utilities/upload/{self._machine}{_plain(path)}"
        answer = _mapping(self._connection.put(what, url, content), what)
        if str(answer.get("status")).upper() != "OK":
            raise _site_outage(what, str(answer.get("error")))
        folder, _, name = path.rpartition("/")
        if self.list_folder(folder).get(name) != len(content):
            raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, f"{what}: not all of it arrived. It is sent again")

    def list_folder(self, path: str) -> dict[str, int]:
        """Sizes of the regular files in a folder, by name; -1 for a folder in it. Empty where there is no folder.

        Raises:
            MoverUnavailable: it can't be listed.
        """
        what = f"list {path}"
        answer = _mapping(self._connection.get(what, f"utilities/ls/{self._machine}{_plain(path)}"), what)
        if str(answer.get("status")).upper() != "OK":
            if _NO_SUCH.search(str(answer.get("error"))):
                return {}
            raise _site_outage(what, str(answer.get("error")))
        found = {}
        for entry in answer.get("entries") or []:
            permissions, name = str(entry.get("perms") or ""), str(entry.get("name") or "")
            if name not in (".", "..") and "/" not in name:
                if permissions.startswith("-"):
                    found[name] = int(entry.get("size") or 0)
                elif permissions.startswith("d"):
                    found[name] = -1
        return found

    def read(self, path: str) -> bytes | None:
        """A file, whole; None when it is not there.

        Raises:
            MoverUnavailable: it can't be read now.
        """
        folder, _, name = path.rpartition("/")
        size = self.list_folder(folder).get(name)
        return None if size is None or size < 0 else self.download(path, size)

    def download(self, path: str, size: int) -> bytes | None:
        """A file of that size, whole; None when it is not there.

        Raises:
            MoverUnavailable: it can't be read now, or has another size.
        """
        what = f"read {path}"
        url = f"utilities/download/{self._machine}{_plain(path)}"
        answer = _mapping(self._connection.get(what, url, binary=True), what)
        if str(answer.get("status")).upper() != "OK":
            if _NO_SUCH.search(str(answer.get("error"))):
                return None
            raise _site_outage(what, str(answer.get("error")))
        text = str(answer.get("file") or "")
        try:
            content = base64.b64decode(text, validate=True) if answer.get("is_binary") else text.encode()
        except binascii.Error as error:
            raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, f"{what}: {error}") from error
        if len(content) != size:
            raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, f"{what}: {len(content)} of {size} bytes arrived")
        return content

    def tape_names(self, hsi: str, root: str) -> list[str] | None:
        """Names of all that lies below a folder on tape, as the machine's own ``hsi`` tells; None: no such folder.

        Raises:
            MoverUnavailable: the archive does not let us in, or does not answer.
        """
        try:
            said = self.command(f"ask hsi for {root}", f"{hsi} -q 'ls -1 -R {_plain(root)}'")
        except MoverUnavailable as error:
            if "HPSS_ENOENT" in str(error):
                return None
            raise
        return [line.strip() for line in said.splitlines() if line.strip() and not line.rstrip().endswith(":")]

    # jobs

    def submit(self, script: str) -> str:
        """Have a script run that lies at the site; the id of its job. Look for the job's name before.

        Raises:
            MoverUnavailable: it was not taken, or nobody knows: then it is found by its name later.
        """
        what = f"submit {script}"
        data = {"job": _plain(script), "isPath": True}
        answer = self._connection.post(what, f"compute/jobs/{self._machine}", data)
        result = self._connection.task_result(what, answer)
        if result.get("status") == "error" or not result.get("jobid"):
            raise _site_outage(what, str(result.get("error")))
        return str(result["jobid"])

    def waiting_and_running(self) -> list[Job]:
        """Jobs of ours that have not ended."""
        rows = self._jobs("list our jobs", sacct=False, kwargs=[f"user={self.user()}"])
        return [Job(*(str(row.get(key) or "") for key in ("jobid", "name", "state", "reason"))) for row in rows]

    def states(self, job_ids: Collection[str]) -> dict[str, str]:
        """State of each job, ended ones too; one that is not in the answer is not known yet, or not any more."""
        if not job_ids:
            return {}
        rows = self._jobs("ask for our jobs", sacct=True, kwargs=[f"jobid={','.join(sorted(job_ids))}"])
        return {str(row.get("jobid")): str(row.get("state") or "").split(" ")[0] for row in rows}

    def _jobs(self, what: str, **query: Any) -> list[Mapping[str, Any]]:
        answer = self._connection.get(what, f"compute/jobs/{self._machine}", cached=False, **query)
        answer = _mapping(answer, what)
        if str(answer.get("status")).upper() != "OK":
            raise _site_outage(what, str(answer.get("error")))
        return [row for row in answer.get("output") or [] if isinstance(row, Mapping)]

    def cancel(self, job_id: str) -> None:
        """End a job; that it has ended is fine."""
        self._connection.delete(f"cancel job {job_id}", f"compute/jobs/{self._machine}/{job_id}")


def _plain(path: str) -> str:
    if not PLAIN.match(path) or ".." in path.split("/"):
        raise TaskRefused(f"{path!r} can't be used at the site: letters, digits and _ . / + - only. Rename the folder")
    return path


def _mapping(answer: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(answer, Mapping):
        raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, f"{what}: the answer is no document")
    return answer


def _site_outage(what: str, said: str) -> MoverUnavailable:
    """What the site's file systems or batch system said, as trouble of everybody."""
    reason, todo = Reason.SERVICE_UNAVAILABLE, "It goes on by itself"
    if re.search(r"quota|No space", said, re.IGNORECASE):
        reason, todo = Reason.DESTINATION_FULL, "Free space or raise the quota"
    elif re.search(r"[Pp]ermission denied|not permitted", said):
        reason, todo = Reason.PERMISSION_DENIED, "Let the account of our client write there"
    elif _NO_SUCH.search(said):
        reason, todo = Reason.ENDPOINT_UNAVAILABLE, "Look whether the file system is there"
    return MoverUnavailable(reason, f"{what}: {said[:300]}. {todo}")
