"""What the name of a file says: kind, scan number, repeat, file of the run.

Users rename files, so a name that says nothing is normal. Scan numbers are not unique: both control computers of 4.0.2
count for themselves.
"""

import re
from dataclasses import dataclass

SIDECAR_SUFFIX = ".sdc.json"

_NAME = re.compile(
    r"(?P<kind>TrajScan|SigScan|TimeScan|MotScan|InstrumentScan|Trajectory Scan|Single Motor Scan|"
    r"Single Motor Flying Scan|From File Scan|Time Scan)\s*(?P<scan>[0-9]{1,12})(?:-(?P<repeat>[0-9]{1,6}))?"
    r"(?:[_ ](?P<file>[0-9]{1,6}))?(?:\.txt|\.fits|\.sdc\.json)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FileName:
    """The parts of ``TrajScan31914-1_0002.txt`` or ``Trajectory Scan 000206 01.txt``."""

    kind: str
    scan: int
    repeat: int | None
    file: int | None
    """One run writes many files; this is the number of the file in its run."""


def parse_name(path: str) -> FileName | None:
    """The parts of the file name at the end of ``path``; None when the name is not one that BCS gives."""
    found = _NAME.fullmatch(path.replace("\\", "/").rpartition("/")[2])
    if not found:
        return None
    repeat, file = found["repeat"], found["file"]
    return FileName(found["kind"], int(found["scan"]), int(repeat) if repeat else None, int(file) if file else None)
