"""Which channels carry the signal and the monitor. A channel that reads zero throughout is not connected."""

from dataclasses import dataclass

import numpy as np

from dichroism_operator.bcs import BcsFile
from dichroism_operator.bcs.table import Floats

MODES = {"EY": "TEY", "EY SCVM": "TEY", "LY": "LY", "LY SCVM": "LY", "FY": "FY"}
"""Detection mode of a channel: total electron yield, luminescence yield, fluorescence yield."""
LUMINESCENCE = ("LY", "LY SCVM")

_GREATEST = 1e30
"""No ratio of counts is as great; it comes from a monitor that read next to nothing."""
_SIGNALS = ("EY", "LY", "FY", "EY SCVM", "LY SCVM", "PD", "Counter 1")
MONITORS = ("I0 ES", "I0 BL", "Counter 0", "Clock")


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal divided by its monitor, row by row."""

    channel: str
    monitor: str | None
    values: Floats
    label: str


def live(scan: BcsFile, channel: str) -> bool:
    """Whether a channel read anything but zero and NaN."""
    return channel in scan and bool(np.any(np.nan_to_num(scan[channel], posinf=0, neginf=0) != 0))


def live_signals(scan: BcsFile) -> list[str]:
    """The detectors that read something, best known first."""
    return [channel for channel in _SIGNALS if live(scan, channel)]


def live_monitor(scan: BcsFile) -> str | None:
    """The monitor of the incoming beam, else the gate clock, None when both are dead."""
    return next((channel for channel in MONITORS if live(scan, channel)), None)


def dead_signals(scan: BcsFile) -> list[str]:
    """The usual detectors that are in the file and read nothing."""
    return [channel for channel in ("EY", "LY", "FY") if channel in scan and not live(scan, channel)]


def detection_modes(scan: BcsFile) -> list[str]:
    """``TEY``, ``LY``, ``FY``: those whose detector read something."""
    return list(dict.fromkeys(MODES[channel] for channel in live_signals(scan) if channel in MODES))


def normalised(scan: BcsFile, channel: str, monitor: str | None) -> Signal:
    """A channel divided by the monitor; NaN where the monitor read nothing."""
    values = scan[channel]
    if monitor is None or monitor == channel:
        return Signal(channel, None, np.where(np.isfinite(values), values, np.nan), f"{channel} (counts)")
    by = scan[monitor]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.where(by != 0, values / by, np.nan)
        ratio[~(np.abs(ratio) < _GREATEST)] = np.nan
    return Signal(channel, monitor, ratio, f"{channel} / {monitor}")
