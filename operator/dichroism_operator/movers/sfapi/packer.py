"""What is sent to the site for one job: the program as one zip file, the order, and the batch script."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from dichroism_crds.config import Superfacility

SCRIPT = "job.sh"
_PACKAGES = ("dichroism_operator", "dichroism_operator/movers")
_MODULES = ("bundle.py", "unpacking.py")
_PYTHON = "import sys; sys.exit(sys.version_info < (3, 9))"


@cache
def program() -> bytes:
    """``tapejob`` and the modules that it needs as one file that Python runs; the same bytes each time."""
    movers = resources.files("dichroism_operator.movers")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for package in _PACKAGES:
            archive.writestr(zipfile.ZipInfo(f"{package}/__init__.py"), "")
        for module in _MODULES:
            archive.writestr(zipfile.ZipInfo(f"{_PACKAGES[-1]}/{module}"), (movers / module).read_bytes())
        archive.writestr(zipfile.ZipInfo("__main__.py"), (movers / "sfapi" / "tapejob.py").read_bytes())
    return packed.getvalue()


@cache
def program_name() -> str:
    """Its name at the site, which tells one version from another: a job that waits keeps the one it was made with."""
    return f"tapejob-{hashlib.sha256(program()).hexdigest()[:12]}.pyz"


def order(kind: str, submission: str, root: str, tape_root: str, hsi: str, details: Mapping[str, Any]) -> bytes:
    """The order of a job. File names stand in this document alone, never on a command line."""
    document = {"kind": kind, "submission": submission, "root": root, "tape_root": tape_root, "hsi": hsi}
    return json.dumps({**document, **details}).encode()


def batch_script(settings: Superfacility, work: str, program_path: str, job_name: str) -> bytes:
    """The script that the batch system runs. All paths and ``job_name`` hold plain characters only."""
    options = [
        f"--job-name={job_name}",
        f"--output={work}/job-%j.log",
        f"--time={_minutes(settings.time_limit.total_seconds())}",
        "--open-mode=append",
        "--no-requeue",
        *([f"--account={settings.account}"] if settings.account else []),
        *settings.options,
    ]
    return _lines(
        "#!/bin/bash",
        *(f"#SBATCH {option}" for option in options),
        *settings.prepare,
        f"python3 -c '{_PYTHON}' || {{ echo 'Python 3.9 or newer is needed: correct sfapi.prepare' >&2; exit 1; }}",
        f"exec python3 {program_path} {work}",
    )


def _minutes(seconds: float) -> int:
    return max(1, round(seconds / 60))


def _lines(*lines: str) -> bytes:
    parts: Sequence[str] = (*lines, "")
    return "\n".join(parts).encode()
