"""Pictures of datasets in the emulated backends: identity, rights, order, and how large they may be."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dichroism_operator.catalogue.errors import EntryRefused
from tests.emulators.scicat.process import INGESTOR, SciCatEmulator
from tests.emulators.scicat.settings import BACKENDS, Account, ingest_site
from tests.integration.scicat_calls import PICTURE, attachment_body, dataset_body, raw
from tests.integration.scicat_site import ACCOUNTS, catalogue_for, new_case

OWNER = Account("owner", "emulated-password-2", ("als",))
ADMIN = Account("admin", "emulated-password-3", ("admin",))
MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module", params=BACKENDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SciCatEmulator]:
    settings = ingest_site([INGESTOR, OWNER, ADMIN], backend=request.param)
    with SciCatEmulator(tmp_path_factory.mktemp("scicat"), settings) as emulator:
        yield emulator


@pytest.fixture
def site(running: SciCatEmulator) -> Iterator[SciCatEmulator]:
    assert raw(running, "POST", "datasets", json=dataset_body("picture")).status_code == 201
    yield running
    running.remove("picture")


def _add(site: SciCatEmulator, **fields: Any) -> Any:
    answer = raw(site, "POST", "datasets/picture/attachments", json=attachment_body(**fields))
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_repeated_post_makes_another_attachment_whatever_its_id(site: SciCatEmulator) -> None:
    made = [_add(site, id="mine") for _ in range(2)]
    assert len({one["id"] for one in made} | {"mine"}) == 3
    assert [one["id"] for one in raw(site, "GET", "datasets/picture/attachments").json()] == [
        made[1]["id"],
        made[0]["id"],
    ]


def test_the_list_ends_at_ten(site: SciCatEmulator) -> None:
    for _ in range(11):
        _add(site)
    assert len(raw(site, "GET", "datasets/picture/attachments").json()) == 10


def test_owner_is_the_datasets_and_readers_are_not_inherited(site: SciCatEmulator) -> None:
    made = _add(site, ownerGroup="others")
    assert (made["ownerGroup"], made["accessGroups"], made["datasetId"]) == ("als", [], "picture")
    assert _add(site, accessGroups=["4.0.2"])["accessGroups"] == ["4.0.2"]


@pytest.mark.parametrize(("account", "status"), [(INGESTOR, 403), (OWNER, 200), (ADMIN, 200)])
def test_who_may_delete_a_picture(site: SciCatEmulator, account: Account, status: int) -> None:
    path = f"datasets/picture/attachments/{_add(site)['id']}"
    assert raw(site, "DELETE", path, account=account).status_code == status


def test_a_replaced_attachment_is_an_orphan_and_its_deletion_does_nothing(site: SciCatEmulator) -> None:
    path = f"datasets/picture/attachments/{_add(site)['id']}"
    replacement = {"ownerGroup": "als", "caption": "new", "thumbnail": PICTURE}
    assert raw(site, "PUT", path, account=OWNER, json=replacement).json()["relationships"] == []
    assert raw(site, "GET", "datasets/picture/thumbnail").json() == {}
    assert raw(site, "DELETE", path, account=OWNER).status_code == 200
    assert site.state()["attachments"] >= 1


def test_v4_keeps_the_chosen_id_and_refuses_it_twice_and_the_old_backend_lets_in_admins_alone(
    site: SciCatEmulator,
) -> None:
    target = [{"targetId": "picture", "targetType": "dataset"}]
    body = attachment_body(aid=f"chosen-{site.settings.backend}", isPublished=False, relationships=target)
    first = raw(site, "POST", "v4/attachments", json=body)
    if not site.settings.is_v5:
        assert first.status_code == 403
        first = raw(site, "POST", "v4/attachments", json=body, account=ADMIN)
    assert (first.status_code, first.json()["aid"]) == (201, body["aid"])
    assert raw(site, "POST", "v4/attachments", json=body, account=ADMIN).status_code == 500
    incomplete = {name: value for name, value in body.items() if name != "isPublished"}
    assert raw(site, "POST", "v4/attachments", json=incomplete, account=ADMIN).status_code == 400
    changed = raw(site, "PATCH", f"v4/attachments/{body['aid']}", json={"caption": "new"}, account=ADMIN).json()
    assert (changed["caption"], changed["relationships"][0]["targetId"]) == ("new", "picture")
    (shown,) = raw(site, "GET", "datasets/picture/attachments").json()
    assert shown["caption"] == "new"


def test_a_picture_of_eleven_megabytes_is_taken_and_one_of_seventeen_is_a_500(site: SciCatEmulator) -> None:
    _add(site, thumbnail="x" * (15 * MEGABYTE))  # 11 MB in base64
    too_large = attachment_body(thumbnail="x" * (17 * MEGABYTE))
    assert raw(site, "POST", "datasets/picture/attachments", json=too_large).status_code == 500


def test_a_proxy_in_front_refuses_with_a_413_and_a_page(tmp_path: Path) -> None:
    settings = replace(ingest_site([INGESTOR]), proxy_limit=MEGABYTE)
    with SciCatEmulator(tmp_path, settings) as site:
        assert raw(site, "POST", "datasets", json=dataset_body("picture")).status_code == 201
        too_large = attachment_body(thumbnail="x" * MEGABYTE)
        answer = raw(site, "POST", "datasets/picture/attachments", json=too_large)
        assert (answer.status_code, answer.headers["Content-Type"][:9]) == (413, "text/html")
        assert "<h1>413" in answer.text


def test_what_is_too_large_for_the_proxy_is_one_entrys_trouble_and_no_outage(tmp_path: Path) -> None:
    settings = replace(ingest_site(ACCOUNTS), proxy_limit=MEGABYTE // 4)
    with SciCatEmulator(tmp_path, settings) as site:
        catalogue = catalogue_for(site)
        with pytest.raises(EntryRefused, match="413") as caught:
            catalogue.ensure_dataset(new_case(scientific_metadata={"notes": "x" * MEGABYTE}).entry)
        assert caught.value.http_status == 413
        catalogue.ensure_dataset(new_case().entry)
