"""Scan files of the ALS beamline control system (BCS), read into numpy arrays.

    >>> from dichroism_operator import bcs
    >>> scan = bcs.read("TrajScan31914-1_0001.txt")
    >>> scan.header.date, scan.header.scan_file, scan.start
    >>> scan.names
    >>> scan["EY"] / scan["I0 ES"]
    >>> for sweep in scan.sweeps:
    ...     scan["Energy"][sweep.rows]
    >>> scan.problems

Everything about the form of the files is here and nothing about what was measured: that is in ``quicklook`` (analysis
and picture) and ``science`` (catalogue metadata). Only numpy is needed, and astropy for the images of the CCD.

:func:`read` raises :class:`BcsError` for what is not such a file, and nothing else. Whatever can be read of a damaged
file is given, and ``scan.problems`` says what is missing.
"""

from dichroism_operator.bcs.channels import unit_of
from dichroism_operator.bcs.clock import ZONE, elapsed_seconds
from dichroism_operator.bcs.detection import Form, detect
from dichroism_operator.bcs.errors import BcsError
from dichroism_operator.bcs.filename import FileName, parse_name
from dichroism_operator.bcs.header import Header, ScanKind
from dichroism_operator.bcs.limits import Limits
from dichroism_operator.bcs.reading import read
from dichroism_operator.bcs.scanfile import BcsFile, Sweep

__all__ = [
    "ZONE",
    "BcsError",
    "BcsFile",
    "FileName",
    "Form",
    "Header",
    "Limits",
    "ScanKind",
    "Sweep",
    "detect",
    "elapsed_seconds",
    "parse_name",
    "read",
    "unit_of",
]
