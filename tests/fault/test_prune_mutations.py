"""Each condition of a deletion is taken out of the source in turn: the adversary must notice every one of them.

The clocks are not among them: tests/integration/prune/test_prune_stop.py tries those.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

import dichroism_operator
from tests.cluster import Cluster
from tests.fault.adversary.__main__ import VIOLATED

SEED, FILES = 1, {"traps": 120, "rivals": 4}
AT_ONCE = 4
REPOSITORY = Path(__file__).parents[2]

pytestmark = [pytest.mark.fault, pytest.mark.cluster]


@dataclass(frozen=True)
class Mutation:
    """A condition, the file of the operator that has it, and the words that take it out."""

    condition: str
    file: str
    edits: tuple[tuple[str, str], ...]
    battle: str = "traps"


def _one(condition: str, file: str, old: str, new: str, battle: str = "traps") -> Mutation:
    return Mutation(condition, file, ((old, new),), battle)


DECISION, WORK, GATE = "prune/decision.py", "prune/work.py", "prune/gate.py"
BUNDLE = "movers/bundle.py"
FOLDERS, RMDIR = "prune/folders.py", "os.rmdir(_name(folder), dir_fd=above)"
SWITCH_IS_ON = 'return f"ConfigMap {STOP_PRUNE_CONFIGMAP} is there"'
HELD = 'if holder not in ("", self.holder) and not expired:'
NEEDS = "copies = {need.name: _recorded_copy(case, need.name) for need in case.prune.spec.needs}"

MUTATIONS = (
    # First, because these two wait for a Lease to run out, while the others work.
    _one("Lease of another process", "lease.py", HELD, "if False:", "rivals"),
    _one("Lease that ran out", GATE, "        self._lease.check_held()\n", "", "rivals"),
    _one("due date", DECISION, "if due is None or case.moment < due:", "if due is None:"),
    _one("retention of a proposal", DECISION, "case.rule.retention(*_proposals(case))", "case.rule.after"),
    _one("hold", DECISION, "if holds_on(case):", "if False:"),
    _one("suspended Prune", DECISION, "return prune.spec.suspend or undo_asked(prune)", "return undo_asked(prune)"),
    _one("undo", DECISION, "return ANNOTATION_UNDO in prune.metadata.annotations", "return False"),
    _one("suspended Scan", DECISION, "or (case.scan and case.scan.spec.suspend)", ""),
    _one("endpoint identity", DECISION, "return today is not None and recorded(today) == then", "return True"),
    _one("need on disk", DECISION, NEEDS, NEEDS.replace("needs}", "needs if need.name != 'nersc402'}")),
    _one("need on tape", DECISION, NEEDS, NEEDS.replace("needs}", "needs if need.name != 'hpss402'}")),
    _one("proof of the needs", DECISION, " or unproven(case, states)", ""),
    _one("size of the file", DECISION, "found.size == item.size and ", ""),
    _one("time of the file", DECISION, " and kept_time(found.modified_at, item.modified_at)", ""),
    _one("digest of a copy on disk", "movers/verifying.py", "sha256_from_disk(fd, no_checkpoint) ==", "True or"),
    _one("digest of a copy on tape", BUNDLE, " and _sha256_of(opened, found) == sha256", ""),
    _one(
        "folders that are links",
        BUNDLE,
        "_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW |",
        "_FOLDER = os.O_DIRECTORY |",
    ),
    Mutation(
        "copies that are links",
        BUNDLE,
        (
            ("_FILE = os.O_RDONLY | os.O_NOFOLLOW |", "_FILE = os.O_RDONLY |"),
            ("_require_regular(os.stat(name, dir_fd=folder, follow_symlinks=False), path)", "pass"),
        ),
    ),
    _one("files are never replaced", "movers/noreplace.py", "_RENAME_NOREPLACE = 1", "_RENAME_NOREPLACE = 0"),
    _one("stop switch", "prune/stopswitch.py", SWITCH_IS_ON, "return None and"),
    _one("Scans are told first", "prune/job.py", "in (None, PrunePhase.PRUNED)", "in (PrunePhase.PRUNED,)"),
    _one(
        "proof again before the trash is emptied",
        WORK,
        "reason = self._judge(cases[entry.index], entry.found, states[entry.index])\n                if reason in",
        "reason = None\n                if reason in",
    ),
    _one("folders go only when told", FOLDERS, "rule is None or not rule.remove_empty_folders or", "rule is None or"),
    _one("folders are untouched", FOLDERS, "if moment <= limit or folder in run.thinned", ""),
    _one("folders are empty", "movers/filesystem.py", RMDIR, RMDIR.replace("os.rmdir", '__import__("shutil").rmtree')),
    _one("folders were emptied by a deletion", WORK, "if index not in left]", "]"),
)


def mutated(mutation: Mutation, folder: Path) -> Path:
    """A copy of the operator without the condition."""
    source = Path(dichroism_operator.__file__).parent
    copy = folder / "dichroism_operator"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / mutation.file
    text = file.read_text()
    for old, new in mutation.edits:
        assert text.count(old) == 1, f"{mutation.condition}: {mutation.file} has not once: {old}"
        text = text.replace(old, new)
    file.write_text(text)
    return folder


def verdict(cluster: Cluster, folder: Path, mutation: Mutation | None = None, battle: str = "traps") -> tuple[int, str]:
    """Exit code and words of one battle with, or without, a condition taken out."""
    kind = mutation.battle if mutation else battle
    first = [str(mutated(mutation, folder / "code"))] if mutation else []
    arguments = [kind, cluster.namespace(), str(folder / "site"), str(SEED), str(FILES[kind])]
    fought = subprocess.run(
        [sys.executable, "-m", "tests.fault.adversary", *arguments],
        cwd=REPOSITORY,
        env=cluster.environment() | {"PYTHONPATH": os.pathsep.join([*first, str(REPOSITORY)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return fought.returncode, fought.stdout


@pytest.mark.parametrize("battle", FILES)
def test_the_adversary_is_content_with_the_source_as_it_is(
    battle: str, tmp_path: Path, crds: None, cluster: Cluster
) -> None:
    code, said = verdict(cluster, tmp_path, battle=battle)
    assert code == 0, said


@pytest.mark.timeout(900)
def test_the_adversary_notices_each_condition_that_is_missing(
    tmp_path: Path, crds: None, cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        folders = [tmp_path / str(number) for number in range(len(MUTATIONS))]
        verdicts = list(pool.map(partial(verdict, cluster), folders, MUTATIONS))
    pairs = zip(MUTATIONS, verdicts, strict=True)
    rows = [(mutation.condition, code == VIOLATED, said) for mutation, (code, said) in pairs]
    with capsys.disabled():
        print()
        for condition, noticed, said in rows:
            print(f"  without {condition:40} {'noticed' if noticed else 'NOT NOTICED'}: {said.splitlines()[-1]}")
    assert not [f"{condition}: {said}" for condition, _, said in rows if "Traceback" in said]
    assert not [condition for condition, noticed, _ in rows if not noticed]
