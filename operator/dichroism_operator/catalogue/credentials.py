"""Name and password of our account at the catalogue. They are read anew for every login, so rotation needs no restart.

From the environment (``SCICAT_USERNAME``, ``SCICAT_PASSWORD``) or from the file that ``<NAME>_FILE`` names, which wins.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from dichroism_crds.reasons import Reason
from dichroism_operator.catalogue.errors import CatalogueUnavailable
from dichroism_operator.environment import UnreadableSecretError, secret

USERNAME = "SCICAT_USERNAME"
PASSWORD = "SCICAT_PASSWORD"  # noqa: S105 - the name of the variable


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login needs; the password is in no representation of it."""

    username: str
    password: str = field(repr=False)


def _secret(name: str, environment: Mapping[str, str]) -> str:
    try:
        value = secret(name, environment)
    except UnreadableSecretError as error:
        raise CatalogueUnavailable(
            f"{error}: nothing is catalogued until it can be read. Mount the secret there",
            reason=Reason.CATALOGUE_LOGIN_FAILED,
        ) from error
    if not value:
        raise CatalogueUnavailable(
            f"no login for the catalogue: set {name} or {name}_FILE. Nothing is catalogued until then",
            reason=Reason.CATALOGUE_LOGIN_FAILED,
        )
    return value


def credentials_from_environment(environment: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials as they are now.

    Raises:
        CatalogueUnavailable: one is not set or its file cannot be read; reason ``CatalogueLoginFailed``.
    """
    return Credentials(_secret(USERNAME, environment), _secret(PASSWORD, environment))
