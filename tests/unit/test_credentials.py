"""Where a secret is looked for, and that a changed one counts at once."""

from pathlib import Path

import pytest

from dichroism_operator.credentials import FOLDER, SecretMissingError, find_secret, read_secret

NAME = "SCICAT_PASSWORD"


def test_a_named_file_goes_before_the_mounted_secret_and_that_before_the_variable(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("mounted\n")
    (tmp_path / "named").write_text("named")
    variable = {NAME: "variable"}
    mounted = variable | {FOLDER: str(tmp_path)}
    assert [read_secret(NAME, one) for one in (variable, mounted, mounted | {f"{NAME}_FILE": f"{tmp_path}/named"})] == [
        "variable",
        "mounted",
        "named",
    ]


def test_a_rotated_secret_counts_from_the_next_look_on(tmp_path: Path) -> None:
    # Kubernetes changes a mounted Secret by pointing a link to another folder.
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
        (tmp_path / version / NAME).write_text(version)
    (tmp_path / "data").symlink_to("old")
    environment = {FOLDER: str(tmp_path / "data")}
    assert read_secret(NAME, environment) == "old"
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").rename(tmp_path / "data")
    assert read_secret(NAME, environment) == "new"


def test_a_key_that_the_secret_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretMissingError, match=f"has no key {NAME}"):
        read_secret(NAME, {FOLDER: str(tmp_path)})
    assert find_secret(NAME, {FOLDER: str(tmp_path)}) == ""


def test_a_file_that_is_named_and_not_there_is_told_without_its_content(tmp_path: Path) -> None:
    with pytest.raises(SecretMissingError, match=f"{NAME}_FILE names"):
        find_secret(NAME, {f"{NAME}_FILE": str(tmp_path / "nothing")})
