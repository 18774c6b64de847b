"""The audit of places that are not mounted: through a Globus collection, and through the Superfacility API."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from dichroism_crds.config import Config, Endpoint
from dichroism_operator.audit.findings import Finding, Kind, Place, Sight
from dichroism_operator.audit.index import Index
from dichroism_operator.audit.judging import Judge
from dichroism_operator.audit.looking import Looking
from dichroism_operator.audit.survey import bundle_findings
from dichroism_operator.movers import bundle
from dichroism_operator.movers.base import Mover
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.filesystem import FilesystemMover
from dichroism_operator.movers.mount import MANIFESTS
from tests.emulators.globus.process import GlobusEmulator
from tests.emulators.sfapi.process import SfapiEmulator
from tests.integration import globus_hop, sfapi_hop
from tests.unit import scan_cases
from tests.unit.mover_contract import MOMENT, put, sha256

BUNDLE = "2026/bl402-20261122-20261122-0123456789ab-89abcdef.tar"
US = int(MOMENT.timestamp()) * 10**6 + MOMENT.microsecond


@pytest.fixture(scope="module")
def globus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GlobusEmulator]:
    with globus_hop.globus_service(tmp_path_factory.mktemp("globus")) as started:
        yield started


@pytest.fixture(scope="module")
def sfapi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SfapiEmulator]:
    with SfapiEmulator(tmp_path_factory.mktemp("sfapi")) as started:
        yield started


@pytest.fixture
def index() -> Iterator[Index]:
    with Index() as made:
        yield made


def looking(index: Index, movers: Mapping[str, Mover], *endpoints: Endpoint) -> Looking:
    """Of BL402, with these endpoints in place of its own."""
    config: Config = scan_cases.config("ingest", "prune")
    config = config.model_copy(update={"endpoints": config.endpoints | {one.name: one for one in endpoints}})
    return Looking(config, config.beamlines["BL402"], movers.__getitem__, index, Sight("BL402"))


def found(look: Looking) -> set[tuple[Kind, str]]:
    """Kind and path of everything that is wrong with files of any age."""
    look.index.complete()
    judge = Judge(look.config, look.beamline, look.sight, scan_cases.NOW, timedelta(0))
    told: list[Finding] = [one for case in look.index.cases("BL402") for one in judge.findings(case)]
    told += bundle_findings(look.beamline, look.sight, look.index)
    told += look.index.findings()
    return {(one.kind, one.path) for one in told}


def write_manifest(root: Path, *paths: str) -> None:
    """The manifest of the bundle, with these files of this root."""
    members = []
    for path in paths:
        content = (root / path).read_bytes()
        members.append(bundle.Member(path, len(content), US, sha256(content)))
    file = root / MANIFESTS / f"{Path(BUNDLE).name}.tsv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(bundle.manifest_text(members))


def test_collections_and_their_manifests_are_listed_through_globus(
    globus: GlobusEmulator, index: Index, tmp_path: Path
) -> None:
    hop = globus_hop.new_hop(globus)
    source, disk = (
        one.model_copy(update={"name": name}) for one, name in ((hop.source, "data402"), (hop.destination, "nersc402"))
    )
    for path in ("a/one.txt", "a/two.txt", "b/three.txt"):
        put(hop.source_root, path, path.encode(), MOMENT)
        put(hop.destination_root, path, path.encode(), MOMENT.replace(microsecond=0))
    put(hop.source_root, "b/not-copied.txt", b"x", MOMENT)
    put(hop.source_root, "b/shut-out.tmp", b"x", MOMENT)
    write_manifest(hop.destination_root, "a/one.txt", "b/three.txt")
    tape = Endpoint(name="hpss402", root_path="/tape", mount=tmp_path)
    (tmp_path / ".dichroism").mkdir()
    with hop.globus:
        movers: dict[str, Mover] = {"data402": hop.mover, "nersc402": hop.mover, "hpss402": FilesystemMover()}
        look = looking(index, movers, source, disk, tape)
        look.at_manifests()
        look.at_tape()
        at_disk, at_source = look.at_disk(), look.at_source()
    assert look.sight.unseen == []
    assert (at_source.files, at_disk.files, at_disk.fill) == (4, 3, None)
    assert found(look) == {
        (Kind.NOT_COPIED, "b/not-copied.txt"),
        (Kind.NOT_ARCHIVED, "a/two.txt"),
        (Kind.BUNDLE_MISSING, BUNDLE),
    }


def test_a_collection_that_lost_its_storage_is_not_called_empty(globus: GlobusEmulator, index: Index) -> None:
    hop = globus_hop.new_hop(globus)
    (hop.source_root / ".dichroism").rmdir()
    with hop.globus:
        look = looking(index, {"data402": hop.mover}, hop.source.model_copy(update={"name": "data402"}))
        look.at_source()
    assert [one.place for one in look.sight.unseen] == [Place.SOURCE]


def test_storage_that_a_collection_loses_during_the_listing_is_not_called_empty(globus: GlobusEmulator) -> None:
    hop = globus_hop.new_hop(globus)
    put(hop.source_root, "a/one.txt", b"x", MOMENT)
    with hop.globus:
        assert [one.name for one in hop.globus.list_folder(hop.source, "a")] == ["one.txt"]
        hop.source_root.rename(hop.source_root.with_name("unmounted"))
        hop.source_root.mkdir()
        with pytest.raises(MoverUnavailable):
            list(hop.globus.list_folder(hop.source, "a"))


def test_bundles_and_manifests_are_read_through_the_superfacility_api(
    sfapi: SfapiEmulator, index: Index, tmp_path: Path
) -> None:
    hop = sfapi_hop.new_hop(sfapi, tmp_path)
    put(hop.source_root, "one.txt", b"content", MOMENT)
    write_manifest(hop.source_root, "one.txt")
    with hop.sfapi:
        mounted = hop.source.model_copy(update={"mount": hop.source_root})
        for is_there in (False, True):
            if is_there:
                tar = hop.destination_root / BUNDLE
                tar.parent.mkdir(parents=True)
                tar.write_bytes(b"bundle")
            names = hop.sfapi.bundle_names(hop.destination)
            assert names == ({tar.name} if is_there else set())
        look = looking(index, {"hpss402": hop.mover}, hop.source, hop.destination)
        manifest = f"{MANIFESTS}/{Path(BUNDLE).name}.tsv"
        size = (hop.source_root / manifest).stat().st_size
        assert look.content(hop.source, manifest, size).decode().startswith("path\t")
        look = looking(index, {"hpss402": hop.mover}, mounted, hop.destination)
        look.at_manifests()
        look.at_tape()
        look.at_disk()
    assert look.sight.unseen == []
    assert found(look) == set()
