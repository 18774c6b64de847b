"""What the administrator of a SciCat site decides: backend version, accounts, groups with rights, life of a token."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BACKENDS = ("4.27", "5.2")


@dataclass(frozen=True, slots=True)
class Account:
    """A functional account; its groups are the roles it was given."""

    username: str
    password: str = field(repr=False)
    groups: tuple[str, ...]
    email: str = "account@example.org"


@dataclass(frozen=True, slots=True)
class Settings:
    """One site. Group lists are named like the backend's environment variables, without ``_GROUPS``."""

    accounts: tuple[Account, ...] = ()
    backend: str = "5.2"
    token_ttl: float = 3600.0
    """Seconds until a token expires."""
    create_dataset: tuple[str, ...] = ("#all",)
    create_dataset_with_pid: tuple[str, ...] = ()
    create_dataset_privileged: tuple[str, ...] = ()
    update_dataset_lifecycle: str = ""
    """One string that is never split: a group counts when it is anywhere inside it, as in the real backend."""
    attachment_privileged: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()
    pid_pattern: str = ""
    """What a pid chosen by a client must match; empty: anything."""
    body_limit: int = 16 * 1024 * 1024
    """Bytes of a body that the backend takes; more is a 500."""
    proxy_limit: int = 0
    """Bytes of a body that a proxy in front of it lets through; more is a 413 with a page of HTML. 0: no proxy."""

    @property
    def is_v5(self) -> bool:
        """Whether the 5.2 rules apply."""
        return self.backend == "5.2"

    def account(self, username: str) -> Account | None:
        """The account of that name."""
        return next((account for account in self.accounts if account.username == username), None)

    def to_json(self) -> str:
        """The text that :meth:`load` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, path: Path, **overrides: Any) -> "Settings":
        """Read a site file; ``overrides`` come from the command line and win."""
        document: dict[str, Any] = json.loads(path.read_text()) | overrides
        accounts = [account | {"groups": tuple(account["groups"])} for account in document.get("accounts", ())]
        document["accounts"] = [Account(**account) for account in accounts]
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in document.items()
        }
        return cls(**values)


def ingest_site(accounts: Sequence[Account], **overrides: Any) -> Settings:
    """A site as an ALS-like administrator would set it up: one privileged group, one lifecycle group.

    ``datasetIngestor`` may create any dataset and its children, ``lifecyclers`` may set any dataset's lifecycle; nobody
    deletes, nobody is admin unless their group is ``admin`` or ``deleters``.
    """
    rights: dict[str, Any] = {
        "create_dataset_privileged": ("datasetIngestor",),
        "attachment_privileged": ("datasetIngestor",),
        "update_dataset_lifecycle": "lifecyclers",
        "admin": ("admin",),
        "delete": ("deleters",),
    }
    return Settings(accounts=tuple(accounts), **(rights | overrides))
