"""The pages that people follow to install: what they are told to write is taken by the chart.

That every command works is tried on a real node: ``tests/integration/node/test_install_pages.py``.
"""

from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from dichroism_crds.names import GROUP
from tests.chart import CHART, helm, objects, of_kind, pod_specs
from tests.integration.installer import asked_rights
from tests.pages import HOW_TO, Page, page
from tests.rights import rights_of

pytestmark = pytest.mark.usefixtures("chart_tools")
ROOT = CHART.parents[1]
CONFIG = (ROOT / "config.yml").read_text()
PAGES = [Page(path) for path in sorted(HOW_TO.glob("*.md"))]
KEYS = set(yaml.safe_load((CHART / "values.yaml").read_text()))
WHOLE = {"config": CONFIG, "image": {"repository": "dichroism"}}


def values_in(page: Page) -> list[dict[str, Any]]:
    """The YAML blocks of a page that are values of the chart."""
    documents = [one for block in page.blocks if block.language == "yaml" for one in yaml.safe_load_all(block.text)]
    return [one for one in documents if isinstance(one, dict) and one.keys() & (KEYS - {"config", "prune"})]


SHOWN = [(page.path.name, number, values) for page in PAGES for number, values in enumerate(values_in(page))]


@pytest.mark.parametrize(("page", "number", "values"), SHOWN, ids=[f"{page}-{number}" for page, number, _ in SHOWN])
def test_values_of_a_page_are_taken(page: str, number: int, values: dict[str, Any]) -> None:
    assert objects(helm("template", values=WHOLE | values, release="dichroism"))


def test_the_install_pages_show_values() -> None:
    assert {"install-on-spin.md", "install-on-k3s.md", "install-from-git.md"} <= {page for page, *_ in SHOWN}


def test_pods_on_spin_act_as_the_user_that_nersc_names() -> None:
    (values,) = values_in(page("install-on-spin"))
    for _, pod in pod_specs(objects(helm("template", values=WHOLE | values, release="dichroism"))):
        security = pod["securityContext"]
        assert (security["runAsUser"], security["runAsNonRoot"]) == (90001, True)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        (only,) = pod["containers"]
        assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}


LACKING = {GROUP, "coordination.k8s.io"}
"""Groups of the API of which the built-in role `admin` has nothing, or not in every version; and it makes no Events."""


def lacking(roles: Iterable[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """The rights of Roles that `admin` does not have: group, resource and verb. Names of objects make no difference."""
    rights = {(one.group, one.resource, one.verb) for role in roles for one in rights_of(role)}
    return {one for one in rights if one[0] in LACKING or one == ("", "events", "create")}


def test_the_request_asks_for_exactly_the_rights_that_installing_takes() -> None:
    role, _ = yaml.safe_load_all(asked_rights())
    roles = of_kind(objects(helm("template", values=WHOLE, release="dichroism")), "Role")
    assert {(one.group, one.resource, one.verb) for one in rights_of(role)} == lacking(roles.values())


def test_the_aggregated_role_of_administrators_has_all_that_installing_takes() -> None:
    rendered = objects(helm("template", values=WHOLE, release="dichroism"))
    given = {
        (one.group, one.resource, one.verb) for one in rights_of(of_kind(rendered, "ClusterRole")["dichroism-admin"])
    }
    assert lacking(of_kind(rendered, "Role").values()) <= given
