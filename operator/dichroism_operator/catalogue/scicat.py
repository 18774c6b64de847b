"""The catalogue on SciCat: one conversation after the other, with its login, its lock and its errors.

What is said in a conversation is in ``scicat_dataset``, ``scicat_archive``, ``scicat_presence``, ``scicat_picture`` and
``scicat_claims``.
When a token is rejected the whole sequence starts again with a new one. Sequences for one dataset wait for each other.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar
from urllib.parse import quote, urlsplit

import requests

from dichroism_crds.reasons import Reason
from dichroism_operator.catalogue import scicat_archive, scicat_claims, scicat_dataset, scicat_picture, scicat_presence
from dichroism_operator.catalogue import scicat_documents as documents
from dichroism_operator.catalogue.base import (
    ArchiveEntry,
    DatasetEntry,
    DatasetRecord,
    DatasetRef,
    Picture,
    Presence,
    TapeRecord,
)
from dichroism_operator.catalogue.credentials import Credentials, credentials_from_environment
from dichroism_operator.catalogue.errors import CatalogueUnavailable
from dichroism_operator.catalogue.scicat_client import (
    ConflictError,
    MissingError,
    SciCatClient,
    Timeout,
    TokenRejectedError,
    new_session,
)
from dichroism_operator.catalogue.scicat_conversation import Conversation, RelationForm
from dichroism_operator.catalogue.scicat_login import LoginKeeper

DEFAULT_TIMEOUT: Timeout = (10.0, 60.0)
_LOGINS_PER_SEQUENCE = 3
_LOCKS = 64

T = TypeVar("T")


class SciCatCatalogue:
    """Implements :class:`~dichroism_operator.catalogue.base.Catalogue`. Thread-safe; one instance for a process."""

    def __init__(
        self,
        url: str,
        page_url: str | None = None,
        *,
        pid_prefix: str = "",
        credentials: Callable[[], Credentials] = credentials_from_environment,
        timeout: Timeout = DEFAULT_TIMEOUT,
        before_change: Callable[[], None] = lambda: None,
    ) -> None:
        """``url`` is the base of the API, ``page_url`` that of the pages for people.

        ``before_change`` is called right before every request that changes something: SciCat has no unique keys for
        what belongs to a dataset, so a process that stood still must not go on with what it had read before.

        Raises:
            ValueError: the URL carries a user or password.
        """
        if urlsplit(url).username or urlsplit(url).password:
            raise ValueError("scicat.url carries a user or password: URLs end in logs. Use SCICAT_USERNAME instead")
        self._url = url
        self._page_url = page_url
        self._pid_prefix = pid_prefix
        self._timeout = timeout
        self._before_change = before_change
        self._local = threading.local()
        self._logins = LoginKeeper(url, credentials, self._http, timeout)
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))
        self._form = RelationForm()

    def pid(self, scan: str) -> str:
        """The pid of a scan's dataset, whether it exists or not."""
        return documents.dataset_pid(scan, self._pid_prefix)

    def ensure_dataset(self, entry: DatasetEntry) -> DatasetRef:
        """Make sure that the dataset exists with this file in its list, exactly once, and with its metadata."""
        relations = {self.pid(relation.scan): relation.kind for relation in entry.relations}

        def sequence(talk: Conversation) -> DatasetRef:
            scicat_dataset.ensure_dataset(talk, entry, dict(relations))
            return self._ref(talk)

        return self._converse(entry, sequence)

    def ensure_archived(self, entry: DatasetEntry, archive: ArchiveEntry) -> DatasetRef:
        """Make sure that the dataset records the tape copy and its lifecycle says so."""

        def sequence(talk: Conversation) -> DatasetRef:
            scicat_archive.ensure_archived(talk, archive)
            return self._ref(talk)

        return self._converse(entry, sequence)

    def record_presence(self, pid: str, presence: Presence) -> None:
        """Make sure that a dataset's lifecycle says whether its file is on the endpoint."""
        about = {"pid": pid, "endpoint": presence.endpoint}
        self._converse_about(pid, about, lambda talk: scicat_presence.record_presence(talk, presence))

    def has_picture(self, entry: DatasetEntry) -> bool:
        """Whether the dataset shows a picture of this content."""
        return self._converse(entry, lambda talk: scicat_picture.has_picture(talk, entry.file.content))

    def ensure_picture(self, entry: DatasetEntry, picture: Picture) -> None:
        """Make sure that the dataset shows this picture and no older one of ours."""
        self._converse(entry, lambda talk: scicat_picture.ensure_picture(talk, entry, picture))

    def _ref(self, talk: Conversation) -> DatasetRef:
        page = f"{self._page_url.rstrip('/')}/{quote(talk.pid, safe='')}" if self._page_url else None
        return DatasetRef(talk.pid, page, tuple(talk.uncorrected))

    def _http(self) -> requests.Session:
        """A session for each thread: keeps its connection open, and sessions are not safe to share."""
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = new_session(self._url)
        return session

    def full_pid(self, identifier: str) -> str:
        """The pid whose last part is this UUID."""
        return documents.with_prefix(identifier, self._pid_prefix)

    def tape_copies(self, pid: str) -> Sequence[TapeRecord]:
        """Every tape copy that the dataset records, those of replaced contents included; none without a dataset."""
        return self._converse_about(pid, {"pid": pid}, scicat_archive.tape_copies)

    def all_tape_copies(self) -> Sequence[TapeRecord]:
        """Every tape copy of every dataset that our account may see; what is superseded is not told here."""
        return self._converse_about("", {}, scicat_archive.all_tape_copies)

    def datasets(self, location: str) -> Iterator[Sequence[DatasetRecord]]:
        """Every dataset measured at that location that our account may see, page by page."""
        skip = 0
        while True:
            page = partial(scicat_claims.page_of_datasets, location=location, skip=skip)
            count, records = self._converse_about("", {}, page)
            if not count:
                return
            yield records
            skip += count

    def dataset(self, pid: str) -> DatasetRecord | None:
        """What one dataset claims now; None where there is none, or it makes no sense."""
        return self._converse_about(pid, {"pid": pid}, scicat_claims.dataset)

    def _converse(self, entry: DatasetEntry, sequence: Callable[[Conversation], T]) -> T:
        pid = self.pid(entry.scan)
        return self._converse_about(pid, {"scan": entry.scan, "beamline": entry.beamline, "pid": pid}, sequence)

    def _converse_about(self, pid: str, about: dict[str, str], sequence: Callable[[Conversation], T]) -> T:
        with self._locks[hash(pid) % _LOCKS]:
            login = self._logins.current()
            for _ in range(_LOGINS_PER_SEQUENCE):
                client = SciCatClient(self._url, login.token, self._http(), self._timeout, pid, self._before_change)
                try:
                    return sequence(Conversation(client, pid, login.groups, about, self._form))
                except TokenRejectedError:
                    login = self._logins.renew(login)
                except (MissingError, ConflictError) as error:
                    raise CatalogueUnavailable(
                        f"{error}. Either somebody else changes the dataset, or scicat.url is wrong",
                        http_status=error.http_status,
                        operation=error.operation,
                        pid=pid,
                    ) from error
        raise CatalogueUnavailable(
            "the catalogue rejects every token as soon as it has given it: check its clock and its token settings",
            reason=Reason.CATALOGUE_LOGIN_FAILED,
            pid=pid,
        )
