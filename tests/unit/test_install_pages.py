"""The pages that people follow to install: what they are told to write is taken by the chart."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart import CHART, helm, objects, pod_specs

pytestmark = pytest.mark.usefixtures("chart_tools")
ROOT = CHART.parents[1]
CONFIG = (ROOT / "config.yml").read_text()
PAGES = sorted((ROOT / "docs" / "how-to").glob("*.md"))
KEYS = set(yaml.safe_load((CHART / "values.yaml").read_text()))
WHOLE = {"config": CONFIG, "image": {"repository": "dichroism"}}


def values_in(page: Path) -> list[dict[str, Any]]:
    """The YAML blocks of a page that are values of the chart."""
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    documents = [yaml.safe_load(block) for block in blocks]
    return [one for one in documents if isinstance(one, dict) and one.keys() & (KEYS - {"config", "prune"})]


SHOWN = [(page.name, number, values) for page in PAGES for number, values in enumerate(values_in(page))]


@pytest.mark.parametrize(("page", "number", "values"), SHOWN, ids=[f"{page}-{number}" for page, number, _ in SHOWN])
def test_values_of_a_page_are_taken(page: str, number: int, values: dict[str, Any]) -> None:
    assert objects(helm("template", values=WHOLE | values, release="dichroism"))


def test_the_install_pages_show_values() -> None:
    assert {"install-on-spin.md", "install-on-k3s.md", "install-from-git.md"} <= {page for page, *_ in SHOWN}


def test_pods_on_spin_act_as_the_user_that_nersc_names() -> None:
    (values,) = values_in(ROOT / "docs" / "how-to" / "install-on-spin.md")
    for _, pod in pod_specs(objects(helm("template", values=WHOLE | values, release="dichroism"))):
        security = pod["securityContext"]
        assert (security["runAsUser"], security["runAsNonRoot"]) == (90001, True)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        (only,) = pod["containers"]
        assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}
