"""The catalogue as the steps use it: a login, and the look for a dataset with which each of them begins."""

import os
from collections.abc import Mapping
from contextlib import closing
from functools import partial

from dichroism_crds.config import SciCat
from dichroism_operator.catalogue.credentials import credentials_from_environment
from dichroism_operator.catalogue.scicat_client import SciCatClient, Timeout, new_session
from dichroism_operator.catalogue.scicat_documents import dataset_pid
from dichroism_operator.catalogue.scicat_login import LoginKeeper

TIMEOUT: Timeout = (10.0, 30.0)
_NOBODY = "flight-check"
"""A name that no Scan has: what is asked for is not there, and the answer says so."""


def read_catalogue(scicat: SciCat, environment: Mapping[str, str] = os.environ) -> str:
    """Log in and look for a dataset; returns what was seen, for people.

    Raises:
        CatalogueError: no login, or no answer that makes sense.
    """
    with closing(new_session(scicat.url)) as http:
        login = LoginKeeper(scicat.url, partial(credentials_from_environment, environment), lambda: http, TIMEOUT)
        current = login.current()
        pid = dataset_pid(_NOBODY, scicat.pid_prefix)
        SciCatClient(scicat.url, current.token, http, TIMEOUT, pid).find_dataset()
    return f"logged in, groups {', '.join(current.groups[:5])}; datasets can be looked for"
