"""The file itself: reading it, bounds on it, mounts from the environment, warnings, and the committed example."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from dichroism_crds.config import (
    ArchiveHop,
    BundleLimits,
    Config,
    ConfigError,
    Hop,
    check_file,
    check_runnable,
    check_text,
    load,
    movers_used,
)

COMMITTED = Path(__file__).parents[2] / "config.yml"
DISK = """\
data: {root_path: /dtn, uri: dtn.example, mount: /mnt/data}
cfs-1: {root_path: /cfs, uri: cfs.example}
beamlines:
  BL402:
    watch: {root: data, since: 2026-11-01}
    transfer: {from: data, to: cfs-1}
"""


def loaded(text: str, environ: dict[str, str] | None = None) -> Config:
    checked = check_text(text, "config.yml", environ or {})
    assert checked.config is not None, checked.errors
    return checked.config


def warnings(text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    checked = check_text(text, "config.yml", environ or {})
    assert checked.errors == ()
    return checked.warnings


def test_the_beamline_that_a_page_adds_is_valid_beside_those_of_the_example() -> None:
    page = COMMITTED.parent / "docs" / "how-to" / "add-a-beamline.md"
    added = yaml.safe_load(page.read_text().partition("```yaml\n")[2].partition("```")[0])
    document = yaml.safe_load(COMMITTED.read_text())
    beamlines = document["beamlines"] | added["beamlines"]
    config = loaded(yaml.safe_dump({**added, **document, "beamlines": beamlines}, sort_keys=False))
    assert list(config.beamlines) == ["BL402", "BL631", "BL1102"]


def test_the_committed_example_is_valid_and_describes_both_beamlines() -> None:
    config = load(COMMITTED, {})
    assert list(config.beamlines) == ["BL402", "BL631"]
    assert list(config.endpoints) == ["data402", "nersc402", "hpss402", "data631", "nersc631", "hpss631"]
    for number in ("402", "631"):
        beamline = config.beamlines[f"BL{number}"]
        assert beamline.name == f"BL{number}"
        assert beamline.produces == (f"data{number}", f"nersc{number}", f"hpss{number}")
        assert beamline.watch.since == datetime(2026, 11, 1, tzinfo=UTC)
        assert beamline.watch.quiet_period == timedelta(minutes=3)
        assert beamline.transfer == Hop(source=f"data{number}", destination=f"nersc{number}", mover="globus")
        assert beamline.archive == ArchiveHop(
            source=f"nersc{number}",
            destination=f"hpss{number}",
            mover="sfapi",
            bundle=BundleLimits(target=100 * 10**9, max_files=4000, max_age=timedelta(hours=24)),
        )
        assert beamline.prune[f"data{number}"].needs == (f"nersc{number}", f"hpss{number}")
        assert beamline.ingest is not None
        assert beamline.ingest.location == f"ALS {'.'.join(number)}"
    assert config.beamlines["BL402"].watch.exclude == config.beamlines["BL631"].watch.exclude


def test_the_committed_example_warns_of_nothing_but_its_placeholders() -> None:
    assert [line.split(": ")[1] for line in check_file(COMMITTED, {}).warnings] == [
        "data402.uuid",
        "nersc402.uuid",
        "data631.uuid",
        "nersc631.uuid",
    ]


def test_what_is_left_out_gets_its_default() -> None:
    config = loaded(DISK)
    assert config.attempts == 5
    assert (config.history.scans, config.history.keep) == (timedelta(days=14), 5000)
    assert config.schedule.flush == timedelta(hours=1)
    assert config.trash.keep == timedelta(days=7)
    assert (config.holds, config.scicat, config.prefect.enabled) == ((), None, False)
    beamline = config.beamlines["BL402"]
    assert (beamline.archive, beamline.ingest, beamline.prune) == (None, None, {})
    assert beamline.transfer.mover == "filesystem"
    assert beamline.watch.interval == timedelta(seconds=10)


def test_a_root_is_compared_without_the_slash_at_its_end() -> None:
    assert loaded(DISK.replace("/dtn,", "/dtn/,")).endpoints["data"].root_path == "/dtn"


def test_a_value_is_text_until_a_model_says_otherwise() -> None:
    config = loaded(DISK.replace("uri: dtn.example", "uri: 1e3").replace("BL402:", "BL402:\n    title: no"))
    assert config.endpoints["data"].uri == "1e3"
    assert config.beamlines["BL402"].title == "no"


def test_an_anchor_may_be_used_again() -> None:
    text = DISK.replace("{from: data, to: cfs-1}", "{from: &d data, to: cfs-1}")
    text += "holds: [{path: x, by: me, reason: &r because}, {path: y, by: you, reason: *r}]\n"
    assert [hold.reason for hold in loaded(text).holds] == ["because", "because"]


def test_the_environment_overrides_a_mount() -> None:
    environ = {"DICHROISM_MOUNT_DATA": "/here", "DICHROISM_MOUNT_CFS_1": "/there/", "PATH": "/bin"}
    config = loaded(DISK, environ)
    assert config.endpoints["data"].mount == Path("/here")
    assert config.endpoints["cfs-1"].mount == Path("/there")


def test_an_empty_variable_is_no_mount() -> None:
    assert loaded(DISK, {"DICHROISM_MOUNT_DATA": ""}).endpoints["data"].mount == Path("/mnt/data")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("mnt", "'mnt' is relative: a mount must be an absolute path"),
        ("/mnt/data", "is the folder of endpoint 'data' too: one folder must be one endpoint"),
        ("/", "'/' would make every file of this machine part of the endpoint: name the mounted folder"),
    ],
)
def test_a_bad_mount_in_the_environment_names_the_variable(value: str, message: str) -> None:
    errors = check_text(DISK, "config.yml", {"DICHROISM_MOUNT_CFS_1": value}).errors
    assert f"environment variable DICHROISM_MOUNT_CFS_1: {message}" in errors


def test_a_variable_that_names_no_endpoint_is_a_warning() -> None:
    assert warnings(DISK, {"DICHROISM_MOUNT_DATE": "/x"}) == (
        "environment variable DICHROISM_MOUNT_DATE: names no endpoint. Known: cfs-1, data",
    )


def test_a_short_quiet_period_is_a_warning() -> None:
    assert warnings(DISK.replace("since: 2026-11-01", "since: 2026-11-01, quiet_period: 9s")) == (
        "config.yml:5: beamlines.BL402.watch.quiet_period: 9s is short: a file still being written may be taken as "
        "finished, and copied again",
    )


def test_a_short_retention_or_trash_is_a_warning() -> None:
    text = DISK + "    prune: {data: {after: 6d, needs: [cfs-1]}}\ntrash: {keep: 1h}\n"
    assert warnings(text) == (
        "config.yml:7: beamlines.BL402.prune.data.after: 6d is short: a mistake elsewhere may be noticed only after "
        "the deletion",
        "config.yml:8: trash.keep: 1h is short: after it nothing brings a pruned file back",
    )


def test_folders_that_no_run_could_remove_are_a_warning() -> None:
    text = DISK + "    prune: {data: {after: 8d, needs: [cfs-1], remove_empty_folders: true}}\n"
    assert warnings(text) == ()
    assert warnings(text + "trash: {keep: 23h}\n")[0] == (
        "config.yml:7: beamlines.BL402.prune.data.remove_empty_folders: has no effect: a folder changes when its files "
        "go into the trash, and trash.keep is shorter than the day for which it must be untouched"
    )


def test_a_needed_copy_that_goes_first_is_a_warning() -> None:
    text = DISK.replace("beamlines:", "tape: {root_path: /hpss, uri: tape.example}\nbeamlines:")
    text += "    archive: {from: cfs-1, to: tape}\n"
    text += "    prune: {data: {after: 30d, needs: [cfs-1]}, cfs-1: {after: 30d, needs: [tape]}}\n"
    assert warnings(text) == (
        "config.yml:9: beamlines.BL402.prune.data: needs 'cfs-1', which is pruned after 30d: copies that are due here "
        "later than that find it gone and stay for ever",
    )


def test_an_endpoint_that_nothing_uses_is_a_warning() -> None:
    text = "spare: {root_path: /spare, uri: cfs.example}\n" + DISK
    assert warnings(text) == ("config.yml:1: spare: no beamline uses this endpoint",)


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    with pytest.raises(ConfigError) as raised:
        load(path, {})
    assert raised.value.errors == (
        f"{path}: cannot be read: No such file or directory. Name the file with beamlines and endpoints",
    )


def test_a_folder_is_one_clear_error(tmp_path: Path) -> None:
    assert check_file(tmp_path, {}).errors == (
        f"{tmp_path}: cannot be read: Is a directory. Name the file with beamlines and endpoints",
    )


def test_a_file_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(DISK.encode() + "# Größe\n".encode("latin-1"))
    assert check_file(path, {}).errors == (f"{path}:7: is not UTF-8 (byte {len(DISK) + 4}): save the file as UTF-8",)


def test_a_file_larger_than_a_configmap_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text(DISK + "# " + "x" * 1024 * 1024)
    assert check_file(path, {}).errors == (
        f"{path}: is larger than 1048576 bytes, more than a ConfigMap holds. Is it the right file?",
    )


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"\xef\xbb\xbf" + DISK.encode())
    assert load(path, {}).endpoints["data"].root_path == "/dtn"


def test_aliases_that_multiply_are_stopped() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(9):
        text += f"a{level + 1}: &a{level + 1} [{', '.join([f'*a{level}'] * 10)}]\n"
    assert check_text(text, "config.yml", {}).errors == (
        "config.yml:1: the document has more than 50000 values once its aliases are expanded",
    )


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_deep_nesting_is_stopped(opening: str) -> None:
    assert check_text(opening * 100_000, "config.yml", {}).errors == (
        "config.yml:1: not YAML: nested deeper than 32 levels",
    )


def test_a_placeholder_passes_the_check_and_does_not_run() -> None:
    config = load(COMMITTED, {})
    assert movers_used(config) == {"globus", "sfapi"}
    assert check_runnable(config)[:2] == [
        "beamlines.BL402.transfer: the uuid of endpoint 'data402' still is a placeholder",
        "beamlines.BL402.transfer: the uuid of endpoint 'nersc402' still is a placeholder",
    ]


def test_the_filesystem_mover_runs_only_with_both_mounts() -> None:
    assert check_runnable(loaded(DISK)) == [
        "beamlines.BL402.transfer: the mover filesystem needs endpoint 'cfs-1' mounted here: "
        "set cfs-1.mount or DICHROISM_MOUNT_CFS_1",
    ]
    assert check_runnable(loaded(DISK, {"DICHROISM_MOUNT_CFS_1": "/mnt/cfs"})) == []
