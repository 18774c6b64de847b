"""The pages by which people install, followed literally by who they are for, until files go their way.

Each has a node of its own, on which nothing of the project is before. Emulators stand for Globus, NERSC and SciCat.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from dichroism_crds.names import PRIVATE_DIR
from dichroism_operator.flight.field import FLIGHT, STANDING
from tests.cluster import CommandError, running
from tests.cluster.image import forget
from tests.cluster.node import NAME, Node
from tests.integration.node.newcomer import Newcomer
from tests.integration.node.release import PATIENCE_S, behind_gates, give, volume
from tests.pages import Page, page
from tests.samples import generate
from tests.site import BEAMLINES, GlobusSite, Site, TapeSite

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

REQUEST, SPIN, K3S = page("request-to-nersc"), page("install-on-spin"), page("install-on-k3s")
TITLES = {one: one.blocks[0].section for one in (REQUEST, SPIN, K3S)}
OPERATOR = ("--selector=app.kubernetes.io/component=operator", "--field-selector=status.phase=Running")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Node]:
    """A node on which nothing of ours is."""
    with running(tmp_path / "cluster", NAME) as node:
        assert isinstance(node, Node)
        yield node


@contextmanager
def unmasked() -> Iterator[None]:
    """What is started here makes files that the pods may write too, as services of one account do."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


# NERSC Spin


class SpinSite(GlobusSite, TapeSite):
    """The storage of both beamlines behind Globus, CFS as one volume, tape behind the Superfacility API."""

    NAMESPACE, PERSON = "als", "jane"
    USER, GROUP = 90001, 90002

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        with unmasked():
            super().__init__(node, folder, self.NAMESPACE)
            self.scicat.start()
        for number in BEAMLINES.values():
            standing = self.mount(f"data{number}") / FLIGHT / STANDING
            standing.parent.mkdir()
            (standing.parent / PRIVATE_DIR).mkdir()
            standing.write_bytes(os.urandom(65536))
            (self.mount(f"nersc{number}") / PRIVATE_DIR).rmdir()  # the page makes it
        give(self.cfs, self.USER, self.GROUP)

    @property
    def cfs(self) -> Path:
        """The folder of CFS that NERSC gives as a volume."""
        return self.folder / "cfs"

    def mount(self, endpoint: str) -> Path:
        """Folder of an endpoint."""
        if endpoint.startswith("nersc"):
            return self.cfs / ".".join(endpoint.removeprefix("nersc"))
        return super().mount(endpoint)

    def document(self) -> dict[str, Any]:
        """config.yml as data: the services behind gates, and nothing mounted but what the values of the chart mount."""
        document = super().document()
        for number in BEAMLINES.values():
            for place in ("data", "nersc"):
                del document[f"{place}{number}"]["mount"]
        for beamline, number in BEAMLINES.items():
            document["beamlines"][beamline]["prune"][f"data{number}"]["after"] = "180d"
        for section, keys in (("scicat", ["url"]), ("sfapi", ["url", "token_url"])):
            for key in keys:
                document[section][key] = behind_gates(self.node, document[section][key])
        return document

    def credentials(self) -> dict[str, str]:
        """What the page leaves open, and what stands there."""
        globus, account = self.globus.client, self.scicat.account
        return {
            "<user of the catalogue>": account.username,
            "<its password>": account.password,
            "<client UUID>": globus.client_id,
            "<secret of the client>": globus.client_secret,
            "<client of the Superfacility API>": self.sfapi.client_id,
            "<its private key as a JSON Web Key, on one line>": self.sfapi.secret,
        }

    def whereabouts(self) -> str:
        """Values of the chart that lead pods to the emulators."""
        urls = {name: url for name, url in self.globus.sdk_environment().items() if "URL" in name}
        variables = [{"name": name, "value": behind_gates(self.node, url)} for name, url in urls.items()]
        return yaml.safe_dump({"extraEnv": variables})

    def send(self, beamline: str, count: int) -> dict[str, bytes]:
        """A beamline writes files, and its watcher tells of them; their contents by path."""
        target = self.mount(f"data{BEAMLINES[beamline]}")
        found = {str(path.relative_to(target)): path.read_bytes() for path in generate(target, beamline, count)}
        for path in found:
            self.create_scan(beamline, path)
        return found


@pytest.fixture
def spin(fresh: Node, tmp_path: Path) -> Iterator[SpinSite]:
    """What NERSC gives to everybody: a namespace that enforces `restricted`, in which one person is `admin`."""
    name, person = SpinSite.NAMESPACE, SpinSite.PERSON
    fresh.kubectl("create", "namespace", name)
    fresh.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    fresh.kubectl("create", "serviceaccount", person, "-n", name)
    subject = f"--serviceaccount={name}:{person}"
    fresh.kubectl("create", "rolebinding", person, "--clusterrole=admin", subject, "-n", name)
    site = SpinSite(fresh, tmp_path / "site")
    try:
        yield site
    finally:
        site.close()
        forget("registry.nersc.gov/als/dichroism:0.1.0")


def test_who_follows_the_page_for_spin_has_files_moved_and_goes_on_after_a_mistake(
    spin: SpinSite, fresh: Node, tmp_path: Path
) -> None:
    nersc = Newcomer(fresh, tmp_path / "nersc")
    account = fresh.kubeconfig_for(spin.NAMESPACE, spin.PERSON)
    jane = Newcomer(fresh, tmp_path / "jane", account, helm=4)
    config = jane.clone / "config.yml"
    config.write_text(yaml.safe_dump(spin.document(), sort_keys=False))

    def follow(*sections: str, filled: Mapping[str, str] | None = None) -> str:
        return jane.follow(SPIN, *sections, filled=filled or {}, appended={"values.yaml": spin.whereabouts()})

    follow(TITLES[SPIN])
    asking = "Once: ask for the kinds, the volumes and the rights"
    with pytest.raises(AssertionError, match=r"can-i create prunes.*\n(?:.*\n)*?no\b"):
        follow(asking)
    nersc.follow(REQUEST, TITLES[REQUEST], filled={})
    fresh.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(volume(spin.NAMESPACE, "cfs", spin.cfs)))
    fresh.kubectl("wait", "--for=condition=Established", "crd/scans.dichroism.als.lbl.gov")
    granted(fresh, spin)
    assert set(follow(asking).split()) == {"yes"}
    follow("The folders", filled={"/global/cfs/cdirs/als/data_mover": str(spin.cfs)})
    give(spin.cfs, spin.USER, spin.GROUP)
    follow("The image")
    follow("The credentials", filled=spin.credentials())
    follow("The configuration and the values")
    said = follow("Install")
    assert "PROBLEM" not in said
    assert "BL402: works" in said

    files = spin.send("BL402", 3)
    spin.wait_until_succeeded(len(files), PATIENCE_S)
    assert {path: (spin.mount("nersc402") / path).read_bytes() for path in files} == files
    assert len(spin.scicat.datasets()) == len(files)

    (old,) = operators(spin)
    right = config.read_text()
    config.write_text(right.replace("attempts: 4", "attempts: many"))
    (upgrade, rolled_out), (listing, why), back = commands_of(SPIN, "Change, upgrade, go back")
    jane.type(upgrade)
    spin.wait_for(lambda: "attempts" in jane.type(f"{why} || true"), "the page's command tells what is refused")
    assert old in jane.type(listing)
    config.write_text(right)
    for command in (*back, upgrade, rolled_out):
        jane.type(command)
    more = spin.send("BL631", 2)
    spin.wait_until_succeeded(len(files) + len(more), PATIENCE_S)
    follow("Remove")
    assert len(spin.scans()) == len(files) + len(more)


def commands_of(page: Page, section: str) -> list[list[str]]:
    """The commands of a section, by block."""
    return [block.commands for block in page.blocks if block.section == section]


def operators(site: Site) -> list[str]:
    """Names of the operator's pods that run."""
    return site.cluster.kubectl("get", "pods", *OPERATOR, "-n", site.namespace, "-o=name").replace("pod/", "").split()


def granted(node: Node, site: SpinSite) -> None:
    """Wait until the built-in role `admin` has learned of the kinds: a controller adds it."""
    asked = ("auth", "can-i", "create", "prunes.dichroism.als.lbl.gov", "-n", site.namespace)
    account = node.kubeconfig_for(site.namespace, site.PERSON)

    def answer() -> bool:
        try:
            return node.kubectl(*asked, kubeconfig=account).strip() == "yes"
        except CommandError:
            return False

    site.wait_for(answer, "the role admin knows the kinds")


# k3s


class MachineSite(Site):
    """One machine with the storage of one beamline, and CFS mounted on it; no tape."""

    NAMESPACE = "dichroism"
    USER = 1500

    def __init__(self, node: Node, folder: Path) -> None:
        self.node = node
        super().__init__(node, folder, self.NAMESPACE)
        self.scicat.start()
        for endpoint in ("data402", "nersc402"):
            (self.mount(endpoint) / PRIVATE_DIR).rmdir()  # the page makes it
        give(folder / "endpoints", self.USER, self.USER)

    def document(self) -> dict[str, Any]:
        """config.yml as data: one beamline without tape."""
        document = super().document()
        for name in ("data631", "nersc631", "hpss631", "hpss402"):
            del document[name]
        for name in ("data402", "nersc402"):
            del document[name]["mount"]
        document["beamlines"] = {"BL402": document["beamlines"]["BL402"]}
        beamline = document["beamlines"]["BL402"]
        del beamline["archive"]
        beamline["prune"] = {"data402": {"after": "180d", "needs": ["nersc402"]}}
        document["scicat"]["url"] = behind_gates(self.node, document["scicat"]["url"])
        return document

    def filled(self) -> Mapping[str, str]:
        """What the page leaves open, and what stands there."""
        return {
            "/mnt/als/4.0.2/data": str(self.mount("data402")),
            "/mnt/cfs/data_mover/4.0.2": str(self.mount("nersc402")),
            "/var/lib/dichroism": str(self.folder / "journal"),
            "/etc/rancher/k3s/k3s.yaml": str(self.cluster.kubeconfig),
            "<user of the catalogue>": self.scicat.account.username,
            "<its password>": self.scicat.account.password,
        }


@pytest.fixture
def machine(fresh: Node, tmp_path: Path) -> Iterator[MachineSite]:
    site = MachineSite(fresh, tmp_path / "site")
    try:
        yield site
    finally:
        site.close()
        forget("docker.io/library/dichroism:0.1.0")


def test_who_follows_the_page_for_k3s_has_files_moved_and_installs_again_what_was_removed(
    machine: MachineSite, fresh: Node, tmp_path: Path
) -> None:
    root = Newcomer(fresh, tmp_path / "root", helm=3)
    (root.clone / "config.yml").write_text(yaml.safe_dump(machine.document(), sort_keys=False))
    sections = (
        TITLES[K3S],
        "The image",
        "The folders",
        "The credentials",
        "The configuration and the values",
        "Install",
    )
    said = root.follow(K3S, *sections, filled=machine.filled())
    assert "PROBLEM" not in said
    assert "BL402: works" in said

    files = measured(machine, "2026-11-26")
    machine.wait_until_succeeded(len(files), PATIENCE_S)
    assert {path: (machine.mount("nersc402") / path).read_bytes() for path in files} == files
    assert len(machine.scicat.datasets()) == len(files)

    root.follow(K3S, "Change, upgrade, go back, remove", filled=machine.filled())
    kept = {path: scan.metadata.uid for path, scan in machine.scans().items()}
    assert kept.keys() == files.keys()
    root.follow(K3S, "Install", filled=machine.filled())
    more = measured(machine, "2026-12-24")
    scans = machine.wait_until_succeeded(len(files) + len(more), PATIENCE_S)
    assert {path: scans[path].metadata.uid for path in kept} == kept


def measured(site: MachineSite, day: str) -> dict[str, bytes]:
    """The beamline writes files on a day, as its user; their contents by path."""
    target = site.mount("data402")
    files = generate(target, "BL402", 3, first_day=date.fromisoformat(day))
    give(target, site.USER, site.USER)
    return {str(path.relative_to(target)): path.read_bytes() for path in files}
