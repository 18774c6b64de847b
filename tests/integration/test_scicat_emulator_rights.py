"""Rights in the emulated backends, by the group lists of the administrator: who creates, reads, adds, changes."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.emulators.scicat.process import SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, Account, ingest_site
from tests.integration.scicat_calls import attachment_body, copy_body, dataset_body, files_body, raw

PRIVILEGED = Account("privileged", "emulated-password-1", ("datasetIngestor",))
CHOOSER = Account("chooser", "emulated-password-2", ("als", "choosers"))
PLAIN = Account("plain", "emulated-password-3", ("als",))
SUBSTRING = Account("substring", "emulated-password-4", ("cycle",))
"""Its group is no group of the list, but a part of its text."""
ADMIN = Account("admin", "emulated-password-5", ("admin",))
ACCOUNTS = (PRIVILEGED, CHOOSER, PLAIN, SUBSTRING, ADMIN)


@pytest.fixture(scope="module", params=BACKENDS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = replace(ingest_site(ACCOUNTS, backend=request.param), create_dataset_with_pid=("choosers",))
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as emulator:
        for pid, readers in (("foreign", []), ("shared", ["datasetIngestor"])):
            body = dataset_body(pid, ownerGroup="ALS-1", accessGroups=readers)
            assert raw(emulator, "POST", "datasets", account=PRIVILEGED, json=body).status_code == 201
        yield emulator


@pytest.mark.parametrize(
    ("account", "pid", "owner", "status"),
    [
        (PLAIN, None, "als", 201),
        (PLAIN, "chosen-plain", "als", 403),
        (PLAIN, None, "ALS-1", 403),
        (CHOOSER, "chosen", "als", 201),
        (CHOOSER, "chosen-foreign", "ALS-1", 403),
        (PRIVILEGED, "chosen-any", "ALS-1", 201),
        (ADMIN, "chosen-admin", "ALS-1", 201),
        (None, None, "als", 403),
    ],
)
def test_who_may_create(
    site: SciCatEmulator, account: Account | None, pid: str | None, owner: str, status: int
) -> None:
    body = dataset_body(pid, ownerGroup=owner)
    assert raw(site, "POST", "datasets", account=account, json=body).status_code == status


def test_who_created_a_dataset_does_not_see_it_for_that(site: SciCatEmulator) -> None:
    assert raw(site, "GET", "datasets/foreign", account=PRIVILEGED).status_code == 403
    found = raw(site, "GET", "datasets", account=PRIVILEGED, params={"filter": '{"where": {"pid": "foreign"}}'})
    assert (found.status_code, found.json()) == (200, [])
    again = raw(site, "POST", "datasets", account=PRIVILEGED, json=dataset_body("foreign", ownerGroup="ALS-1"))
    assert again.status_code == 409


def test_a_privileged_reader_adds_and_corrects_nothing(site: SciCatEmulator) -> None:
    for method, path, body, status in (
        ("GET", "datasets/shared", None, 200),
        ("GET", "datasets/shared/origdatablocks", None, 200),
        ("POST", "datasets/shared/origdatablocks", files_body(), 201),
        ("POST", "datasets/shared/datablocks", copy_body("rights.tar"), 201),
        ("POST", "datasets/shared/attachments", attachment_body(), 201),
        ("PATCH", "datasets/shared", {"comment": "x"}, 403),
        ("PATCH", "datasets/shared/datasetlifecycle", {"archivable": False}, 403),
    ):
        answer = raw(site, method, path, account=PRIVILEGED, json=body)
        assert answer.status_code == status, (method, path)


def test_the_lifecycle_groups_are_one_text_that_is_searched(site: SciCatEmulator) -> None:
    assert raw(site, "GET", "datasets/foreign", account=SUBSTRING).status_code == 200
    assert raw(site, "GET", "datasets/foreign/datablocks", account=SUBSTRING).status_code == 403
    path, body = "datasets/foreign/datasetlifecycle", {"archivable": False}
    assert raw(site, "PATCH", path, account=SUBSTRING, json=body).status_code == 200
    assert raw(site, "PATCH", path, account=PLAIN, json=body).status_code == 403


def test_an_admin_may_do_anything_but_delete(site: SciCatEmulator) -> None:
    assert raw(site, "PATCH", "datasets/foreign", account=ADMIN, json={"size": 5}).json()["size"] == 5
    assert raw(site, "GET", "datasets/foreign/attachments", account=ADMIN).status_code == 200
    assert raw(site, "DELETE", "datasets/foreign", account=ADMIN).status_code == 403
