"""Tape at NERSC as doctor sees it: each part is broken in turn, and the finding names it with its remedy."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from dichroism_crds.names import PRIVATE_DIR
from tests.emulators.sfapi.process import SfapiEmulator
from tests.integration.doctor.asking import Answer, ask

TAPE = "/home/a/alsdev/4.0.2"
Doctor = Callable[..., Answer]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SfapiEmulator]:
    with SfapiEmulator(tmp_path_factory.mktemp("sfapi")) as started:
        yield started


@pytest.fixture
def cfs(tmp_path: Path) -> Path:
    root = tmp_path / "cfs"
    (root / PRIVATE_DIR).mkdir(parents=True)
    return root


@pytest.fixture
def doctor(service: SfapiEmulator, cfs: Path, tmp_path: Path) -> Iterator[Doctor]:
    """Ask about tape in the role of the operator."""

    def asked(**environment: str) -> Answer:
        chosen = {
            "data402": {"root_path": "/dtn/data", "mount": str(tmp_path / "data")},
            "nersc402": {"root_path": str(cfs), "mount": str(cfs)},
            "hpss402": {"root_path": TAPE},
            "beamlines": {
                "BL402": {
                    "watch": {"root": "data402", "since": "2026-01-01"},
                    "transfer": {"from": "data402", "to": "nersc402"},
                    "archive": {"from": "nersc402", "to": "hpss402", "mover": "sfapi"},
                }
            },
            "sfapi": service.section(),
        }
        file = tmp_path / "config.yml"
        file.write_text(yaml.safe_dump(chosen))
        options = ["--config", str(file), "--only", "sfapi", "--role", "operator"]
        return ask(service.environment() | environment, *options)

    yield asked
    service.clear_faults()


def test_what_works_is_fine(doctor: Doctor, service: SfapiEmulator) -> None:
    found = doctor()
    assert found.code == 0
    for check in ("sfapi/login", "sfapi/nersc402", "sfapi/hpss402"):
        found.assert_fine(check)


def test_a_client_that_ends_soon_or_has_ended_is_told(doctor: Doctor, service: SfapiEmulator) -> None:
    service.new_client(lives_s=3600)
    doctor().assert_found("sfapi/login", "warning", "the client ends at", "Make a new one")
    service.expire_client()
    doctor().assert_found("sfapi/login", "problem", "refused", "Make a new client")
    service.new_client()
    doctor(SFAPI_CLIENT_SECRET="").assert_found("sfapi/login", "problem", "SFAPI_CLIENT_SECRET")


def test_a_work_folder_that_is_not_there_is_told(doctor: Doctor, cfs: Path) -> None:
    (cfs / PRIVATE_DIR).rmdir()
    doctor().assert_found("sfapi/nersc402", "problem", f"has no folder {PRIVATE_DIR}", "mkdir")


def test_an_archive_that_does_not_answer_is_told(doctor: Doctor, service: SfapiEmulator) -> None:
    service.tape_down(True)
    doctor().assert_found("sfapi/hpss402", "problem", "maintenance", "run hsi once")


def test_what_dead_attempts_left_is_told_and_never_touched(doctor: Doctor, service: SfapiEmulator, cfs: Path) -> None:
    dead = cfs / PRIVATE_DIR / "jobs" / "0123-dead"
    dead.mkdir(parents=True)
    (dead / "bundle-0001.tar").write_bytes(bytes(5000))
    service.store(f"{TAPE}/2026/one.tar", b"whole")
    service.store(f"{TAPE}/2026/two.tar.100001-1-1-abcdef.part", b"half")
    found = doctor()
    found.assert_found("sfapi/nersc402", "warning", "1 attempts", "may be deleted")
    found.assert_found("sfapi/nersc402", "warning", "0123-dead")
    found.assert_found("sfapi/hpss402", "ok", "1 bundles")
    found.assert_found("sfapi/hpss402", "warning", "two.tar.100001-1-1-abcdef.part", "hsi rm")
    assert (dead / "bundle-0001.tar").exists()
    assert (service.tape / TAPE.lstrip("/") / "2026/two.tar.100001-1-1-abcdef.part").exists()
