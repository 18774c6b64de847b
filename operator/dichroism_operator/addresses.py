"""What a path that a person gives may mean: below which endpoint it lies, and which file it is there. No I/O."""

import re
from collections.abc import Iterable, Iterator

from dichroism_crds.config import Beamline, Config, Endpoint

_SCAN = re.compile(r"[a-z0-9][a-z0-9-]*-[a-z2-7]{26}")


def is_scan_name(text: str) -> bool:
    """Whether the text has the form of a Scan's name."""
    return _SCAN.fullmatch(text) is not None


def roots(endpoint: Endpoint) -> list[str]:
    """The folder of an endpoint as the site, the collection and this process name it, without a last slash."""
    known = (endpoint.root_path, endpoint.collection_path, str(endpoint.mount) if endpoint.mount else "")
    return [root.rstrip("/") for root in known if root.rstrip("/")]


def below(text: str, beamlines: Iterable[Beamline], config: Config) -> Iterator[tuple[Beamline, str, str]]:
    """Beamline, endpoint and relative path for each endpoint below whose folder the absolute path ``text`` lies."""
    for beamline in beamlines:
        for name in sorted(beamline.produces):
            for root in dict.fromkeys(roots(config.endpoints[name])):
                if text == root or text.startswith(f"{root}/"):
                    yield beamline, name, text[len(root) + 1 :]
