"""Name and password of our account at the catalogue. They are read anew for every login, so rotation needs no restart.

From the environment (``SCICAT_USERNAME``, ``SCICAT_PASSWORD``) or from the file that ``<NAME>_FILE`` names, which wins.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from dichroism_crds.reasons import Reason
from dichroism_operator.catalogue.errors import CatalogueUnavailable
from dichroism_operator.credentials import SecretMissingError, read_secret

USERNAME = "SCICAT_USERNAME"
PASSWORD = "SCICAT_PASSWORD"  # noqa: S105 - the name of the variable


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a login needs; the password is in no representation of it."""

    username: str
    password: str = field(repr=False)


def credentials_from_environment(environment: Mapping[str, str] = os.environ) -> Credentials:
    """The credentials as they are now.

    Raises:
        CatalogueUnavailable: one is not set or its file cannot be read; reason ``CatalogueLoginFailed``.
    """
    try:
        return Credentials(read_secret(USERNAME, environment), read_secret(PASSWORD, environment))
    except SecretMissingError as error:
        raise CatalogueUnavailable(
            f"no login for the catalogue, nothing is catalogued until then: {error}",
            reason=Reason.CATALOGUE_LOGIN_FAILED,
        ) from error
