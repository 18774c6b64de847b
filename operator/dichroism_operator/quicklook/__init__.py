"""What a scan shows, at a glance: dichroism, hysteresis or a plain curve, as numbers and as a picture.

    >>> from dichroism_operator import bcs, quicklook
    >>> scan = bcs.read("TrajScan31914-1_0001.txt")
    >>> result = quicklook.analyse(scan, "BL631")
    >>> result.numbers()
    >>> png = quicklook.draw(result, quicklook.caption(scan, "BL631"))

Reading files is in ``bcs``, metadata for the catalogue in ``science``. :func:`draw` imports matplotlib when it is
called, not before.
"""

from dichroism_operator.quicklook.analysis import analyse
from dichroism_operator.quicklook.caption import Caption, caption
from dichroism_operator.quicklook.results import Analysis, Curve, Dichroism, Loop, Nothing, Plain

__all__ = [
    "Analysis",
    "Caption",
    "Curve",
    "Dichroism",
    "Loop",
    "Nothing",
    "Plain",
    "analyse",
    "caption",
    "draw",
    "headline",
]


def draw(analysis: Analysis, words: Caption | None = None) -> bytes:
    """The picture of an analysis as PNG, 1200 by 900 pixels, at most 200 kB."""
    from dichroism_operator.quicklook import plot  # matplotlib takes half a second to import

    return plot.draw(analysis, words)


def headline(analysis: Analysis) -> str:
    """The few words over the picture, such as ``Co L₃,₂ XMCD  +12%``."""
    from dichroism_operator.quicklook import plot

    return plot.headline(analysis)
