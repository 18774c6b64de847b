"""All that the catalogue step asks of one file, in one call that can run in a worker process.

It never raises: a file that cannot be read is catalogued with what is known and with the reason. It keeps to a time
budget, looked at between its steps and after every megabyte, so that one monstrous file does not occupy a worker.
"""

import os
import time
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dichroism_operator import bcs, quicklook
from dichroism_operator.bcs.filename import SIDECAR_SUFFIX
from dichroism_operator.quicklook.caption import beamline_number
from dichroism_operator.science.metadata import scientific_metadata, told_by_name
from dichroism_operator.science.sidecar import LARGEST, Sidecar, read_sidecar
from dichroism_operator.science.techniques import techniques

SECONDS = 20.0
SOFTWARE = "dichroism"
SIDECAR = "BCS sidecar"
"""``file_format`` of a sidecar."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Plain data: it goes from a worker process to the operator."""

    metadata: dict[str, Any]
    techniques: list[dict[str, str]] = field(default_factory=list)
    start_time: datetime | None = None
    end_time: datetime | None = None
    png: bytes | None = None
    headline: str = ""
    """What the picture shows, in a few words."""
    problem: str | None = None
    """Why something is missing, in words for a person."""
    proposal: str | None = None
    sample: str | None = None


class _OutOfTimeError(Exception):
    """The budget is used up."""


class _Budget:
    """Time for one file."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds

    def check(self) -> float:
        """The seconds that are left; raises when there are none."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise _OutOfTimeError(f"the time of {self.seconds:g} s for one file was over")
        return left


def build_preview(
    source: str | os.PathLike[str] | bytes,
    beamline: str,
    relative_path: str,
    *,
    sidecar: bytes | None = None,
    seconds: float = SECONDS,
    picture: bool = True,
) -> Preview:
    """Metadata, techniques, times and picture of one file.

    Args:
        source: Where the file can be read, or its content.
        beamline: Its name in the configuration, such as ``BL402``.
        relative_path: Its path below the endpoint's root, for the numbers in its name.
        sidecar: Content of the ``.sdc.json`` beside it, for proposal and sample.
        seconds: Time budget.
        picture: Whether the picture is drawn; it takes twenty times as long as all the rest.
    """
    said = read_sidecar(sidecar) if sidecar is not None else Sidecar()
    basic = {"beamline": beamline_number(beamline)} | told_by_name(relative_path) | _named(said)
    budget = _Budget(seconds)
    try:
        if relative_path.lower().endswith(SIDECAR_SUFFIX):
            return _of_sidecar(source, basic)
        scan = bcs.read(source, bcs.Limits(seconds=budget.check()))
        return _of_scan(scan, beamline, relative_path, said, budget, picture=picture)
    except bcs.BcsError as error:
        problem = error.reason
    except _OutOfTimeError as error:
        problem = str(error)
    except Exception as error:
        problem = f"the file could not be understood ({type(error).__name__}: {error})"
    return Preview(basic, problem=problem, proposal=said.proposal, sample=said.sample)


def _of_scan(scan: bcs.BcsFile, beamline: str, path: str, said: Sidecar, budget: _Budget, *, picture: bool) -> Preview:
    problems = list(scan.problems)
    analysis: quicklook.Analysis = quicklook.Nothing(reason="not analysed")
    png, headline = None, ""
    try:
        budget.check()
        analysis = quicklook.analyse(scan, beamline)
        if picture and scan.form is not bcs.Form.FITS:
            budget.check()
            headline = quicklook.headline(analysis)
            png = quicklook.draw(analysis, quicklook.caption(scan, beamline, path, said.sample or ""))
    except _OutOfTimeError as error:
        problems.append(f"no quick-look: {error}")
    except Exception as error:
        problems.append(f"no quick-look: {type(error).__name__}: {error}")
    metadata = scientific_metadata(scan, beamline, path, analysis) | _named(said)
    if scan.form is not bcs.Form.FITS:
        metadata["quicklook"] = _recorded(analysis)
    return Preview(
        metadata=metadata,
        techniques=techniques(analysis),
        start_time=scan.start,
        end_time=scan.end,
        png=png,
        headline=headline,
        problem="; ".join(problems) or None,
        proposal=said.proposal,
        sample=said.sample,
    )


def _of_sidecar(source: str | os.PathLike[str] | bytes, basic: dict[str, Any]) -> Preview:
    """A sidecar is a file of its own in the catalogue; it has no picture."""
    if isinstance(source, bytes):
        content = source
    elif not Path(source).is_file():  # opening a pipe would wait for ever
        return Preview(basic, problem="the file cannot be opened: there is no regular file of this name")
    else:
        with open(source, "rb") as stream:
            content = stream.read(LARGEST + 1)
    said = read_sidecar(content)
    metadata = basic | {"file_format": SIDECAR} | _named(said)
    return Preview(metadata, problem=said.problem, proposal=said.proposal, sample=said.sample)


def _named(said: Sidecar) -> dict[str, Any]:
    return {key: text for key, text in (("proposal", said.proposal), ("sample", said.sample)) if text}


def _recorded(analysis: quicklook.Analysis) -> dict[str, Any]:
    """The numbers of the analysis, so that they can be read without the picture."""
    numbers = {key: item for key, item in analysis.numbers().items() if item is not None and item not in ("", [])}
    return numbers | {"software": f"{SOFTWARE} {version(SOFTWARE)}"}
