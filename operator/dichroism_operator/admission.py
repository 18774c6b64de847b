"""Whether a Scan may be worked on at all: pure checks of what people and the watcher wrote."""

from dichroism_crds.config import Config
from dichroism_crds.kinds import Scan
from dichroism_crds.names import PRIVATE_DIR, scan_name
from dichroism_crds.paths import PathError, check_relative_path
from dichroism_crds.reasons import Reason


def refusal(scan: Scan, config: Config) -> tuple[Reason, str] | None:
    """Why the Scan is refused, with what to do about it; None when it is fine."""
    beamline = config.beamlines.get(scan.spec.beamline)
    if beamline is None:
        known = ", ".join(sorted(config.beamlines))
        return (
            Reason.BEAMLINE_UNKNOWN,
            f"no beamline {scan.spec.beamline} in the configuration, known: {known}; delete this Scan",
        )
    if scan.spec.export_controlled:
        return Reason.EXPORT_CONTROLLED, "export controlled: nothing is moved; handle this file by hand"
    try:
        check_relative_path(scan.spec.path)
    except PathError as error:
        return Reason.INVALID_PATH, str(error)
    if scan.spec.path.split("/", 1)[0] == PRIVATE_DIR:
        return Reason.INVALID_PATH, f"{PRIVATE_DIR}/ belongs to dichroism itself, its files are no scans"
    expected = scan_name(scan.spec.beamline, beamline.watch.root, scan.spec.path)
    if scan.name != expected:
        return Reason.NAME_MISMATCH, f"the Scan of this path must be named {expected}, so that a file has one Scan only"
    return None
