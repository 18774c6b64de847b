"""Made-up scan files of beamlines 4.0.2 and 6.3.1, deterministic for a seed, as the control system writes them.

``generate`` writes a campaign, ``python -m tests.samples`` does the same from a shell, ``write_filler`` makes load. The
single kinds of file are functions in ``bl402`` and ``bl631``, rarer forms are in ``variants``, and ``mixed_files``
gives files of every kind, unreadable ones too. Standard library only. Nothing here reads files.
"""

from tests.samples.bl402 import hysteresis_402, sigscan_402, trajectory_402, xmcd_set_402, xmld_402
from tests.samples.bl631 import hysteresis_631, sigscan_631, xmcd_pair_631
from tests.samples.campaign import SampleFile, generate, sample_files, write_slowly
from tests.samples.filler import filler, write_filler
from tests.samples.mixture import KINDS, MixedFile, mixed_files

__all__ = [
    "KINDS",
    "MixedFile",
    "SampleFile",
    "filler",
    "generate",
    "hysteresis_402",
    "hysteresis_631",
    "mixed_files",
    "sample_files",
    "sigscan_402",
    "sigscan_631",
    "trajectory_402",
    "write_filler",
    "write_slowly",
    "xmcd_pair_631",
    "xmcd_set_402",
    "xmld_402",
]
