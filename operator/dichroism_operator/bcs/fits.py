"""Images of the CCD: the cards of the primary header, never the pixels."""

import warnings
from typing import Any

from dichroism_operator.bcs.errors import BcsError
from dichroism_operator.bcs.header import Header, ScanKind
from dichroism_operator.bcs.lines import Lines

_BLOCK = 2880
_BLOCKS = 64
_CARD = 80
_TEXT = 500


def read_fits_header(lines: Lines) -> Header:
    """The header of an image.

    Raises:
        BcsError: It has no end, or astropy, which reads it, is not installed.
    """
    head = lines.peek(_BLOCK * _BLOCKS)
    cards = [head[at : at + _CARD] for at in range(0, len(head) - _CARD + 1, _CARD)]
    end = next((index for index, card in enumerate(cards) if card.rstrip() == b"END"), None)
    if end is None:
        raise BcsError("the FITS header has no END card, so the image is cut or no image")
    try:
        from astropy.io import fits  # slow to import, and needed for images only
    except ImportError as error:
        raise BcsError("FITS headers are read by the package astropy, which is not installed") from error
    values: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for card in cards[:end]:
            try:
                parsed = fits.Card.fromstring(card.decode("ascii", "replace").replace("\ufffd", "?"))  # type: ignore[no-untyped-call]
                keyword, value = str(parsed.keyword), parsed.value
            except Exception:  # noqa: S112 - a card that astropy refuses, with whatever error, says nothing
                continue
            if keyword not in ("", "COMMENT", "HISTORY", "CONTINUE"):
                values.setdefault(keyword, value[:_TEXT] if isinstance(value, str) else value)
    return Header(kind=ScanKind.IMAGE, document=values)
