"""Secrets of outside systems, as the environment gives them at this moment.

From the variable ``<NAME>``, or from the file that ``<NAME>_FILE`` names, which wins. Nothing is kept: whoever logs in
reads them anew, so a rotated secret needs no restart. What a missing one means is decided by each outside system.
"""

import os
from collections.abc import Mapping
from pathlib import Path


class SecretMissingError(Exception):
    """A secret is not set, or its file can't be read; the text says which one and what to do, never its value."""


def read_secret(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The secret as it is now, without blanks around it.

    Raises:
        SecretMissingError: neither the variable nor a readable, non-empty file is there.
    """
    value = find_secret(name, environment)
    if not value:
        raise SecretMissingError(f"set {name} or {name}_FILE (a file that holds it)")
    return value


def find_secret(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The secret as it is now, empty when neither variable is set: for those that one may do without.

    Raises:
        SecretMissingError: the file that ``<NAME>_FILE`` names can't be read.
    """
    file = environment.get(f"{name}_FILE")
    try:
        return (Path(file).read_text() if file else environment.get(name, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretMissingError(
            f"cannot read the file that {name}_FILE names ({type(error).__name__}): mount the secret there"
        ) from error
