"""What doctor asks the API server about is what the chart's Roles grant, no more and no less."""

import pytest

from dichroism_operator.doctor.check import Severity
from dichroism_operator.doctor.cluster import Identity, Role
from dichroism_operator.doctor.permissions import Permission, judge, needed
from tests.chart import CHART, RELEASE, objects, of_kind, render

CONFIG = (CHART.parents[1] / "config.yml").read_text()
BEAMLINES = ("BL402", "BL631")


def granted() -> dict[str, set[Permission]]:
    roles = of_kind(objects(render("als", CONFIG)), "Role")
    return {
        name: {
            Permission(group, resource, verb, only)
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
            for only in rule.get("resourceNames", [""])
        }
        for name, role in roles.items()
        if name not in (f"{RELEASE}-steward", f"{RELEASE}-viewer")  # for people
    }


def test_the_chart_grants_exactly_what_is_asked_about() -> None:
    asked = {f"{RELEASE}-{role}": set(needed(role, "als", BEAMLINES)) for role in Role if role != Role.PERSON}
    assert asked == granted()


@pytest.mark.parametrize(
    ("username", "role"),
    [
        ("system:serviceaccount:als:dichroism-operator", Role.OPERATOR),
        ("system:serviceaccount:als:site-dichroism-pruner", Role.PRUNER),
        ("system:serviceaccount:als:dichroism-watcher", Role.WATCHER),
        ("system:serviceaccount:als:dichroism-audit", Role.AUDIT),
        ("system:serviceaccount:als:default", Role.PERSON),
        ("jane-operator", Role.PERSON),
    ],
)
def test_the_role_is_told_by_the_name_of_the_service_account(username: str, role: Role) -> None:
    assert Identity(username).role == role


def test_a_refused_permission_is_named_with_what_grants_it() -> None:
    asked = needed(Role.PRUNER, "als", ["BL402"])
    refused = [one for one in asked if one.name == "dichroism-prune-bl402" and one.verb == "update"]
    (finding,) = judge(Role.PRUNER, "pruner", asked, refused)
    assert finding.severity == Severity.PROBLEM
    assert "pruner may not: update leases dichroism-prune-bl402." in finding.message
    assert "app.kubernetes.io/component=pruner" in finding.remedy


def test_nothing_is_asked_of_a_person_s_account() -> None:
    (finding,) = judge(Role.PERSON, "jane", (), ())
    assert finding.severity == Severity.NOT_CHECKED
    assert "--role" in finding.remedy
