"""The emulator as a process of its own: start, stop, SIGKILL, restart under the same URL, faults, inspection."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.emulators.scicat.faults import Action, Fault
from tests.emulators.scicat.settings import Account, Settings, ingest_site
from tests.emulators.server_process import ServerProcess

INGESTOR = Account("dichroism", "emulated-password-1", ("datasetIngestor", "lifecyclers"))
"""An account with the rights that production needs at least: privileged creation and any lifecycle, nothing more."""


class SciCatEmulator(ServerProcess):
    """One emulated site in a folder."""

    def __init__(
        self,
        folder: Path,
        settings: Settings | None = None,
        *,
        backend: str | None = None,
        keep: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``keep`` and ``environment`` are those of the process."""
        super().__init__(folder, keep=keep, environment=environment)
        self.settings = settings or ingest_site([INGESTOR])
        if backend:
            self.settings = replace(self.settings, backend=backend)

    @property
    def account(self) -> Account:
        """The first account of the site."""
        return self.settings.accounts[0]

    def prepare(self) -> list[str]:
        """Write the site file, which holds secrets; returns module and arguments."""
        site = self.folder / "site.json"
        with os.fdopen(os.open(site, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(self.settings.to_json())
        state = ["--state", str(self.folder / "scicat.sqlite"), "--site", str(site)]
        port = str(urlsplit(self.url).port or 0)
        return ["tests.emulators.scicat", *state, "--port", port, "--url-file", str(self.url_file)]

    # control

    def fault(self, action: Action, **conditions: Any) -> None:
        """Ask for one fault; ``conditions`` are the fields of :class:`~tests.emulators.scicat.faults.Fault`."""
        self.plan([Fault(action=action, **conditions)])

    def plan(self, faults: Iterable[Fault]) -> None:
        """Ask for many."""
        self._control("POST", "/__faults", [fault.to_json() for fault in faults])

    def faults(self) -> list[dict[str, Any]]:
        """Faults that have not happened yet."""
        return list(self._control("GET", "/__faults"))

    def clear_faults(self) -> None:
        """Forget the faults that have not happened yet."""
        self._control("DELETE", "/__faults")

    def expire_tokens(self) -> None:
        """Every token issued so far expires now."""
        self._control("POST", "/__expire")

    def state(self) -> dict[str, Any]:
        """Counts, duplicates, wrong counters, counters of requests."""
        return dict(self._control("GET", "/__state"))

    def requests(self) -> list[dict[str, Any]]:
        """The access log since the last start: method, URL with query, status (None: no answer was sent)."""
        return list(self._control("GET", "/__requests"))

    def dataset(self, pid: str) -> dict[str, Any] | None:
        """A dataset with all its children, past all rights."""
        found: dict[str, Any] | None = self._control("GET", f"/__dataset?pid={quote(pid, safe='')}")
        return found

    def datasets(self) -> list[dict[str, Any]]:
        """All datasets with their children, past all rights; of pictures only the first characters."""
        return list(self._control("GET", "/__datasets"))

    def remove(self, pid: str) -> None:
        """Delete a dataset with all its children, past all rules: a person tidies up."""
        self._control("DELETE", f"/__dataset?pid={quote(pid, safe='')}")

    def edit(self, pid: str, fields: dict[str, Any]) -> None:
        """Overwrite fields of a dataset, past all rules: what a bug or a person at the database leaves behind."""
        self._control("PATCH", f"/__dataset?pid={quote(pid, safe='')}", fields)
