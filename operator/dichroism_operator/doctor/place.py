"""Where the command runs and what it looks at: given to every check."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dichroism_crds.config import Beamline, Checked, Config, Endpoint
from dichroism_operator.credentials import SecretMissingError, find_secret
from dichroism_operator.doctor.cluster import Cluster, Role
from dichroism_operator.doctor.globus_access import GlobusAccess


@dataclass(frozen=True)
class Place:
    """What is known before anything is looked at.

    Attributes:
        config_file: the document; messages name it.
        checked: what became of the document.
        cluster: the Kubernetes API, connected to when the first check asks.
        globus: the Globus services, likewise.
        only_beamlines: names of the beamlines to look at; empty means all.
        given_role: which of our programs would run here, when a person says so.
        environment: where credentials and addresses are read from.
    """

    config_file: Path
    checked: Checked
    cluster: Cluster
    globus: GlobusAccess
    only_beamlines: tuple[str, ...] = ()
    given_role: Role | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @property
    def config(self) -> Config | None:
        """The configuration; without one there are no checks but those that need none."""
        return self.checked.config

    @property
    def beamlines(self) -> tuple[Beamline, ...]:
        """The beamlines to look at, in the order of the document."""
        known = self.config.beamlines if self.config else {}
        return tuple(one for name, one in known.items() if not self.only_beamlines or name in self.only_beamlines)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Endpoints of these beamlines, each once, in the order in which a file reaches them."""
        if not self.config:
            return ()
        names = dict.fromkeys(name for beamline in self.beamlines for name in beamline.produces)
        return tuple(self.config.endpoints[name] for name in names)

    @property
    def pruned(self) -> tuple[str, ...]:
        """Endpoints of these beamlines from which files are deleted one day."""
        return tuple(dict.fromkeys(name for beamline in self.beamlines for name in beamline.prune))

    def has_secrets(self, *names: str) -> bool:
        """Whether all of these are set here, by themselves or as files; whether they are right is another question."""
        try:
            return all(find_secret(name, self.environment) for name in names)
        except SecretMissingError:
            return True  # meant to be here; the login says what is wrong with its file

    async def role(self) -> Role:
        """Which of our programs this place belongs to; a person's where neither the person nor the API tells."""
        return self.given_role or await self.cluster.role()
