"""The path rule of the CRD means the same as 'no empty, . or .. component and no control character'."""

import itertools
import re

import pytest

from dichroism_crds.kinds import Scan
from dichroism_crds.paths import RELATIVE_PATH_PATTERN, PathError, check_relative_path
from dichroism_crds.schema_rules import RULES


def legal(path: str) -> bool:
    """The rule in other words, as an oracle."""
    components = path.split("/")
    return not any(one in ("", ".", "..") for one in components) and not any(ord(c) < 32 or ord(c) == 127 for c in path)


def accepted(path: str) -> bool:
    """What the project's own check says."""
    try:
        check_relative_path(path)
    except PathError:
        return False
    return True


@pytest.mark.parametrize("length", range(7))
def test_every_short_path_is_judged_alike(length: int) -> None:
    pattern = re.compile(RELATIVE_PATH_PATTERN)
    for characters in itertools.product("a./\n", repeat=length):
        path = "".join(characters)
        # fullmatch: Python's $ would let a newline at the end pass, RE2's does not
        assert (pattern.fullmatch(path) is not None) == accepted(path) == legal(path), repr(path)


@pytest.mark.parametrize("code", [*range(0x21), 0x2F, 0x7E, 0x7F, 0x80, 0x85, 0xA0, 0x2028, 0xFFFD, 0x1F600])
def test_every_control_character_is_judged_alike(code: int) -> None:
    for path in (f"a{chr(code)}b", f"{chr(code)}b", f"a{chr(code)}", chr(code)):
        assert accepted(path) == legal(path), repr(path)


def test_the_rule_in_the_crd_is_the_very_pattern_of_the_project() -> None:
    rules = [rule["rule"] for rule in RULES[Scan]["spec.path"]]
    assert f"self.matches(r'{RELATIVE_PATH_PATTERN}')" in rules
    assert "'" not in RELATIVE_PATH_PATTERN
