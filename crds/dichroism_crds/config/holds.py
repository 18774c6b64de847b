"""Holds: files that are not deleted while somebody wants them kept."""

from datetime import datetime

from pydantic import Field, model_validator

from dichroism_crds.config.fields import Section, Text
from dichroism_crds.config.quantities import End
from dichroism_crds.paths import check_relative_path, path_covered


class Hold(Section):
    """Files that are never deleted while the hold stands. All given selectors must match."""

    beamline: str | None = Field(default=None, description="Beamline whose files are held. Default: every beamline.")
    proposal: Text | None = Field(
        default=None,
        description="Proposal whose files are held; upper and lower case are equal. Default: every proposal. Files "
        "without a known proposal are not covered: hold those by path.",
    )
    path: str | None = Field(
        default=None,
        description="Relative path of a file, a folder with everything below it, or a shell pattern ('*' crosses '/'). "
        "Default: every path.",
    )
    scan: Text | None = Field(default=None, description="Name of one Scan. Default: every Scan.")
    by: Text = Field(description="Who asked for the hold. No default: somebody must be able to end it.")
    reason: Text = Field(description="Why the files are held. No default.")
    until: End | None = Field(
        default=None,
        description="Last day of the hold (UTC, the day included) or the time at which it ends. "
        "Default: it never ends.",
    )

    @model_validator(mode="after")
    def _selects_something(self) -> "Hold":
        if not any((self.beamline, self.proposal, self.path, self.scan)):
            raise ValueError("selects nothing: give at least one of beamline, proposal, path, scan")
        if self.path is not None:
            check_relative_path(self.path)
        return self

    def covers(self, *, beamline: str, path: str, scan: str, proposal: str | None, at: datetime) -> bool:
        """Whether a file is held at the moment ``at``. Where a pattern can be read in two ways, both readings hold."""
        if self.until is not None and at >= self.until:
            return False
        return (
            self.beamline in (None, beamline)
            and self.scan in (None, scan)
            and (self.proposal is None or self.proposal.strip().casefold() == (proposal or "").strip().casefold())
            and (self.path is None or path_covered(path, self.path))
        )
