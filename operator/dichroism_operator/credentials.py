"""Secrets of outside systems, as the environment gives them at this moment.

From the file that ``<NAME>_FILE`` names, else from the file ``<NAME>`` in the folder that ``DICHROISM_CREDENTIALS``
names (where a pod has its Secret mounted), else from the variable ``<NAME>``. Nothing is kept: whoever logs in reads
them anew, so a rotated secret needs no restart. What a missing one means is decided by each outside system.
"""

import os
from collections.abc import Mapping
from pathlib import Path

FOLDER = "DICHROISM_CREDENTIALS"
"""Names a folder with one file for each secret, as Kubernetes mounts a Secret; a file that is not there is no error."""


class SecretMissingError(Exception):
    """A secret is not set, or its file can't be read; the text says which one and what to do, never its value."""


def read_secret(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The secret as it is now, without blanks around it.

    Raises:
        SecretMissingError: neither the variable nor a readable, non-empty file is there.
    """
    value = find_secret(name, environment)
    if value:
        return value
    if environment.get(FOLDER):
        raise SecretMissingError(
            f"the Secret with the credentials has no key {name}, or does not exist yet: add it there"
        )
    raise SecretMissingError(f"set {name} or {name}_FILE (a file that holds it)")


def find_secret(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The secret as it is now, empty when it is nowhere: for those that one may do without.

    Raises:
        SecretMissingError: the file that ``<NAME>_FILE`` names, or the one in the folder, can't be read.
    """
    named, folder = environment.get(f"{name}_FILE"), environment.get(FOLDER)
    mounted = Path(folder) / name if folder else None
    file = Path(named) if named else mounted
    if file is None or (file == mounted and not file.exists()):
        return environment.get(name, "").strip()
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        where = f"that {name}_FILE names" if named else f"{name} of the mounted Secret"
        raise SecretMissingError(
            f"cannot read the file {where} ({type(error).__name__}): mount the secret there"
        ) from error
