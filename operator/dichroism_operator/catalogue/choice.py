"""Which catalogue the configuration names."""

from dichroism_crds.config import Config
from dichroism_operator.catalogue.base import Catalogue


def build_catalogue(config: Config) -> Catalogue | None:
    """The catalogue of this process; None where the configuration has none.

    Raises:
        ValueError: its URL carries a password.
    """
    if config.scicat is None:
        return None
    from dichroism_operator.catalogue.scicat import SciCatCatalogue  # a large library, which most commands do without

    return SciCatCatalogue(config.scicat.url, config.scicat.page_url, pid_prefix=config.scicat.pid_prefix)
