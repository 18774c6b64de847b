"""Which catalogue the configuration names."""

from collections.abc import Callable

from dichroism_crds.config import Config
from dichroism_operator.catalogue.base import Catalogue


def build_catalogue(config: Config, before_change: Callable[[], None] = lambda: None) -> Catalogue | None:
    """The catalogue of this process; None where the configuration has none.

    ``before_change`` is called right before every request that changes something, and may raise to prevent it.

    Raises:
        ValueError: its URL carries a password.
    """
    if config.scicat is None:
        return None
    from dichroism_operator.catalogue.scicat import SciCatCatalogue  # a large library, which most commands do without

    scicat = config.scicat
    return SciCatCatalogue(scicat.url, scicat.page_url, pid_prefix=scicat.pid_prefix, before_change=before_change)
