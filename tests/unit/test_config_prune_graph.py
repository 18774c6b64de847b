"""Whatever the prune rules, a document passes only if one verified copy always stays on an endpoint never pruned."""

import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from dichroism_crds.config import Config, check_text
from dichroism_crds.config.checks import find_cycle

ENDPOINTS = ("data", "cfs", "tape")
Rules = dict[str, list[str]]
RULES = st.dictionaries(st.sampled_from(ENDPOINTS), st.lists(st.sampled_from(ENDPOINTS), max_size=3))


def document(rules: Rules, archive: bool) -> str:
    """YAML is a superset of JSON."""
    beamline: dict[str, object] = {
        "watch": {"root": "data", "since": "2026-11-01"},
        "transfer": {"from": "data", "to": "cfs"},
        "prune": {endpoint: {"after": "30d", "needs": needs} for endpoint, needs in rules.items()},
    }
    if archive:
        beamline["archive"] = {"from": "cfs", "to": "tape"}
    endpoints = {name: {"root_path": f"/{name}", "uri": f"{name}.example"} for name in ENDPOINTS}
    return json.dumps({**endpoints, "beamlines": {"BL402": beamline}})


def survivors(config: Config, order: list[str]) -> set[str]:
    """Endpoints that still hold a file after everything that may be deleted, in this order of trying, was deleted."""
    beamline = config.beamlines["BL402"]
    holding = set(beamline.produces)
    for endpoint in order * len(order):
        rule = beamline.prune.get(endpoint)
        if rule is not None and holding.issuperset(rule.needs):
            holding.discard(endpoint)
    return holding


@given(rules=RULES, archive=st.booleans(), order=st.permutations(ENDPOINTS))
@example(rules={"data": ["cfs"], "cfs": ["data"]}, archive=True, order=["data", "cfs", "tape"])
@example(rules={"data": ["tape"]}, archive=False, order=["data", "cfs", "tape"])
@example(rules={"data": ["cfs"], "cfs": []}, archive=True, order=["data", "cfs", "tape"])
def test_an_accepted_document_always_leaves_a_copy_that_is_never_pruned(
    rules: Rules, archive: bool, order: list[str]
) -> None:
    config = check_text(document(rules, archive), "config.yml", {}).config
    if config is None:
        return
    never_pruned = set(config.beamlines["BL402"].produces) - set(rules)
    assert survivors(config, order) & never_pruned
    for needs in rules.values():
        assert reaches_only(needs, rules, never_pruned)


def reaches_only(needs: list[str], rules: Rules, never_pruned: set[str], depth: int = 0) -> bool:
    """Whether every chain of needs ends at an endpoint that is never pruned; a chain without end does not."""
    return (
        depth <= len(ENDPOINTS)
        and bool(needs)
        and all(
            need in never_pruned or reaches_only(rules.get(need, []), rules, never_pruned, depth + 1) for need in needs
        )
    )


@given(rules=RULES, archive=st.booleans())
@example(rules={"data": ["tape"]}, archive=False)
@example(rules={"data": ["cfs"], "cfs": ["data"]}, archive=True)
@example(rules={"data": ["cfs", "tape"], "cfs": ["tape"]}, archive=True)
def test_nothing_safe_is_refused(rules: Rules, archive: bool) -> None:
    produced = ENDPOINTS if archive else ENDPOINTS[:2]
    sound = all(
        endpoint in produced[:2] and set(needs) <= set(produced) and len(set(needs)) == len(needs)
        for endpoint, needs in rules.items()
    )
    never_pruned = set(produced) - set(rules)
    safe = sound and all(reaches_only(needs, rules, never_pruned) for needs in rules.values())
    assert safe == (check_text(document(rules, archive), "config.yml", {}).config is not None)


NODES = st.sampled_from("abcdef")


@given(graph=st.dictionaries(NODES, st.lists(NODES, max_size=4)))
def test_a_cycle_is_found_exactly_when_there_is_one(graph: dict[str, list[str]]) -> None:
    cycle = find_cycle(graph)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(following in graph[name] for name, following in pairwise(cycle))
    else:
        # Without a cycle, nodes can be taken away one by one, each when nothing that is left follows from it.
        left = {name: set(following) for name, following in graph.items()}
        while free := [name for name, following in left.items() if not following & left.keys()]:
            del left[free[0]]
        assert not left
