"""Secrets of the outside systems: from the variable ``NAME``, or from the file that ``NAME_FILE`` names, which wins.

Read whenever they are needed, never kept: a Secret that is mounted as a file is rotated without a restart.
"""

import os
from collections.abc import Mapping
from pathlib import Path


class UnreadableSecretError(Exception):
    """The file that a variable names cannot be read; the text names the variable, never the content."""


def secret(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The value as it is now without blanks around it, empty when neither variable is set.

    Raises:
        UnreadableSecretError: ``NAME_FILE`` is set and cannot be read.
    """
    file = environment.get(f"{name}_FILE")
    if not file:
        return environment.get(name, "")
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableSecretError(f"cannot read the file that {name}_FILE names ({type(error).__name__})") from error
