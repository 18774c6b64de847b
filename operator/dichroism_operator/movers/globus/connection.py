"""The way to the Globus services: credentials, clients for many threads, and every error as what it means for us.

The doctor uses :func:`connect` too. What is asked of the service stands in the other modules.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from globus_sdk import (
    AuthAPIError,
    ClientApp,
    ConfidentialAppAuthClient,
    GlobusAppConfig,
    GlobusError,
    GlobusHTTPResponse,
    TransferAPIError,
    TransferClient,
)
from globus_sdk.scopes import Scope
from globus_sdk.transport import RequestsTransport, RetryConfig

from dichroism_crds.reasons import Reason
from dichroism_operator.credentials import SecretMissingError, read_secret
from dichroism_operator.movers.closing import Closing
from dichroism_operator.movers.errors import MoverUnavailable
from dichroism_operator.movers.globus.errors import MalformedAnswerError, is_refused_login, outage_of
from dichroism_operator.movers.globus.pace import OPERATOR_RATE, Pace

APP_NAME = "dichroism"
CLIENT_ID = "GLOBUS_CLIENT_ID"
CLIENT_SECRET = "GLOBUS_CLIENT_SECRET"  # noqa: S105 - the name of the variable
HTTP_TIMEOUT_S = 30.0
"""For one request. A listing of a large folder takes the collection some seconds; the SDK's 60 s would hold a lane."""
RETRIES = 2
"""Of the SDK, for one call: enough for a hiccup. A longer outage is waited for by the lane, which says so."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GlobusCredentials:
    """A confidential client of a Globus project: the service account is ``<client_id>@clients.auth.globus.org``."""

    client_id: str
    client_secret: str = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "GlobusCredentials":
        """The credentials as they are now.

        Raises:
            MoverUnavailable: one is missing; reason ``CredentialsRefused``.
        """
        try:
            return cls(read_secret(CLIENT_ID, environment), read_secret(CLIENT_SECRET, environment))
        except SecretMissingError as error:
            raise MoverUnavailable(
                Reason.CREDENTIALS_REFUSED, f"no login for Globus, nothing is moved until then: {error}"
            ) from error

    @property
    def identity(self) -> str:
        """The name by which guest collections give permissions to this account."""
        return f"{self.client_id}@clients.auth.globus.org"


@dataclass(slots=True)
class Session:
    """One login with its two clients. Used by one thread at a time, because the SDK's app is not thread-safe."""

    credentials: GlobusCredentials
    app: ClientApp
    patient: TransferClient
    """Repeats a request by itself: for reads, and for submissions, which the submission id makes repeatable."""
    once: TransferClient
    """Never repeats one: a rename that is asked for twice may hit another file the second time."""

    def close(self) -> None:
        """Close the connections."""
        for part in (self.patient, self.once, self.app):
            part.close()


def connect(environment: Mapping[str, str] = os.environ) -> Session:
    """Log in with the credentials of the environment; the tokens are kept in memory alone.

    Raises:
        MoverUnavailable: no credentials, or they are refused, or nobody answers.
    """
    credentials = GlobusCredentials.from_environment(environment)
    config = GlobusAppConfig(token_storage="memory")  # noqa: S106 - where tokens are kept, not one of them
    app = ClientApp(APP_NAME, client_id=credentials.client_id, client_secret=credentials.client_secret, config=config)
    try:
        patient = _client(app, RETRIES)
        try:
            return Session(credentials, app, patient, _client(app, 0))
        except BaseException:
            patient.close()
            raise
    except BaseException as error:
        app.close()
        if isinstance(error, GlobusError) and (outage := outage_of(error, "log in")):
            raise outage from error
        raise


def _client(app: ClientApp, retries: int) -> TransferClient:
    return TransferClient(
        app=app,
        transport=RequestsTransport(http_timeout=HTTP_TIMEOUT_S),
        retry_config=RetryConfig(max_retries=retries),
    )


class GlobusConnection(Closing):
    """Sessions for many threads, one pace for all, and a new login when the old one is refused."""

    def __init__(self, environment: Mapping[str, str] = os.environ, *, per_second: float = OPERATOR_RATE) -> None:
        """Connect to nothing yet."""
        self._environment = environment
        self._pace = Pace(per_second)
        self._idle: list[Session] = []
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Close what is idle now, and what is in use as soon as it is given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def call(self, what: str, request: Callable[[TransferClient], T], *, once: bool = False) -> T:
        """Make one request and read its answer.

        Args:
            what: what is asked, for messages.
            request: asks and reads the answer; called a second time only after a refused login.
            once: the request must not be repeated when its answer is lost.

        Raises:
            MoverUnavailable: the service, our account or an endpoint is in trouble as a whole.
            TransferAPIError: the service says no to this request; see ``errors``.
        """
        try:
            return self._ask(request, once)
        except (GlobusError, MalformedAnswerError) as error:
            if is_refused_login(error) and self._renewed(error):
                return self._ask_again(what, request, once)
            if outage := outage_of(error, what):
                raise outage from error
            raise

    def _ask_again(self, what: str, request: Callable[[TransferClient], T], once: bool) -> T:
        try:
            return self._ask(request, once)
        except (GlobusError, MalformedAnswerError) as error:
            if outage := outage_of(error, what):
                raise outage from error
            raise

    def _renewed(self, error: Exception) -> bool:
        """Forget every login; whether a new one is worth a try at once."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()
        return isinstance(error, TransferAPIError)

    def _ask(self, request: Callable[[TransferClient], T], once: bool) -> T:
        with self._session() as session:
            self._pace.wait()
            return request(session.once if once else session.patient)

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """A session for this thread alone; one whose login was refused is not used again."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        session = session or connect(self._environment)
        try:
            yield session
        except (AuthAPIError, TransferAPIError) as error:
            if is_refused_login(error):
                session.close()
            else:
                self._give_back(session)
            raise
        except BaseException:
            self._give_back(session)
            raise
        else:
            self._give_back(session)

    def _give_back(self, session: Session) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(session)
                return
        session.close()

    def token(self, scope: Scope, what: str) -> str:
        """An access token for another service of the same login, such as a collection's HTTPS server.

        Raises:
            MoverUnavailable: it is refused, or nobody answers.
        """
        credentials = GlobusCredentials.from_environment(self._environment)
        client = ConfidentialAppAuthClient(credentials.client_id, credentials.client_secret)
        try:
            answer = client.oauth2_client_credentials_tokens(requested_scopes=scope)
            return str(document(answer)["access_token"])
        except (GlobusError, MalformedAnswerError, KeyError) as error:
            if outage := outage_of(error, what):
                raise outage from error
            raise MoverUnavailable(Reason.SERVICE_UNAVAILABLE, f"{what}: Globus Auth gave no token") from error
        finally:
            with suppress(GlobusError):
                client.close()


def document(answer: GlobusHTTPResponse) -> Mapping[str, Any]:
    """The JSON object of an answer.

    Raises:
        MalformedAnswerError: it is none.
    """
    if not isinstance(answer.data, Mapping):
        raise MalformedAnswerError(f"no JSON object but {answer.content_type or 'no content type'}")
    return answer.data
