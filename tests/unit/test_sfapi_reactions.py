"""Each end of a tape job leads to one reaction, and only what a result says in full is believed."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dichroism_crds.config import Superfacility
from dichroism_crds.reasons import Reason
from dichroism_operator.movers.base import Item, TaskState
from dichroism_operator.movers.sfapi import packer, results, tapejob
from dichroism_operator.movers.sfapi.jobs import Trouble
from dichroism_operator.movers.sfapi.reactions import WORDLESS_ATTEMPTS, react

MOMENT = datetime(2026, 11, 22, 17, 3, 11, 123456, tzinfo=UTC)
ITEM = Item("2026/a b.txt", 5, MOMENT)
BUNDLE = "2026/x.tar"
DIGEST = "a" * 64


@pytest.mark.parametrize(
    ("state", "trouble", "reason", "over"),
    [
        ("TIMEOUT", Trouble(), Reason.TASK_EXPIRED, True),
        ("DEADLINE", Trouble(), Reason.TASK_EXPIRED, True),
        ("CANCELLED", Trouble(), Reason.TASK_CANCELED, True),
        ("NODE_FAIL", Trouble(), Reason.SERVICE_UNAVAILABLE, False),
        ("BOOT_FAIL", Trouble(), Reason.SERVICE_UNAVAILABLE, False),
        ("FAILED", Trouble(), Reason.SERVICE_UNAVAILABLE, False),
        ("COMPLETED", Trouble(), Reason.SERVICE_UNAVAILABLE, False),
        ("", Trouble(), Reason.SERVICE_UNAVAILABLE, False),
        ("FAILED", Trouble(attempts=WORDLESS_ATTEMPTS), None, False),
        ("OUT_OF_MEMORY", Trouble(), None, False),
        ("FAILED", Trouble(tapejob.TAPE_UNAVAILABLE, "down"), Reason.ENDPOINT_UNAVAILABLE, False),
        ("FAILED", Trouble(tapejob.TAPE_REFUSES, "no"), Reason.PERMISSION_DENIED, False),
        ("FAILED", Trouble(tapejob.NO_SPACE, "full"), Reason.DESTINATION_FULL, False),
        ("FAILED", Trouble(tapejob.SITE, "gone"), Reason.ENDPOINT_UNAVAILABLE, False),
        ("FAILED", Trouble(tapejob.REFUSED, "exists"), None, False),
        ("FAILED", Trouble(tapejob.UNEXPECTED, "KeyError"), None, False),
    ],
)
def test_no_file_is_blamed_for_the_end_of_a_job_that_is_not_its_fault(
    state: str, trouble: Trouble, reason: Reason | None, over: bool
) -> None:
    progress = react("4711", state, trouble, "/log")
    assert (progress.state, progress.reason, progress.over) == (TaskState.FAILED, reason, over)
    assert "job 4711" in progress.message
    assert trouble.message in progress.message


def document(**changes: Any) -> dict[str, Any]:
    row = [ITEM.path, 5, 1795366991123456, DIGEST]
    return {"bundle": BUNDLE, "sha256": DIGEST, "size": 10240, "members": [row], "left_out": []} | changes


def reason_of(item: Item = ITEM, **changes: Any) -> Reason | None:
    progress = results.settle(document(**changes), BUNDLE, [item], [], "4711")
    return progress.results[0].reason if progress.results else progress.reason


def test_a_member_is_verified_by_size_time_and_checksum() -> None:
    assert reason_of() == Reason.COPIED
    assert reason_of(stood=True) == Reason.ALREADY_THERE
    assert reason_of(replace(ITEM, size=6)) == Reason.RESULTS_LOST
    assert reason_of(replace(ITEM, sha256="b" * 64)) == Reason.CHECKSUM_MISMATCH
    assert reason_of(replace(ITEM, modified_at=MOMENT.replace(microsecond=0))) == Reason.RESULTS_LOST


@pytest.mark.parametrize(
    "changes",
    [
        {"bundle": "2026/y.tar"},
        {"sha256": "short"},
        {"size": None},
        {"members": None},
        {"members": [["2026/a b.txt"]]},
        {"members": [["2026/a b.txt", 5, 1795366991123456, "short"]]},
        {"sha256": None},
    ],
)
def test_a_result_that_is_cut_or_strange_verifies_nothing(changes: dict[str, Any]) -> None:
    assert reason_of(**changes) == Reason.RESULTS_LOST


def test_a_file_that_was_left_out_has_the_packer_s_reason() -> None:
    assert reason_of(left_out=[[ITEM.path, "ChecksumMismatch", "differs"]]) == Reason.CHECKSUM_MISMATCH
    assert reason_of(left_out=[[ITEM.path, "a new word", "?"]]) == Reason.SOURCE_UNREADABLE


def test_the_batch_script_holds_no_file_name_and_the_program_is_always_the_same() -> None:
    settings = Superfacility(account="als")
    script = packer.batch_script(settings, "/cfs/work", "/cfs/tapejob.pyz", "dichroism_x").decode()
    assert "#SBATCH --time=2880\n" in script
    assert "#SBATCH --account=als\n" in script
    assert "#SBATCH --qos=xfer\n" in script
    assert script.index("module load python") < script.index("exec python3 /cfs/tapejob.pyz /cfs/work")
    packer.program.cache_clear()
    first = packer.program()
    packer.program.cache_clear()
    assert packer.program() == first
