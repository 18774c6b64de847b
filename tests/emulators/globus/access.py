"""Who is calling: tokens, their scopes, consent, and how often one may call."""

import base64
import binascii
import math
import secrets
import time
from collections import deque
from typing import Any
from urllib.parse import parse_qs

from tests.emulators.globus.answers import Answer, AuthRefusal, Json, Refusal
from tests.emulators.globus.settings import GUEST, Client, Collection
from tests.emulators.globus.site import Site

TRANSFER_SERVER = "transfer.api.globus.org"
TRANSFER_SCOPE = f"urn:globus:auth:scope:{TRANSFER_SERVER}:all"
AUTH_SERVER = "auth.globus.org"
AUTH_SCOPES = ("openid", "profile", "email")
_PREFIX = "https://auth.globus.org/scopes/"


def data_access_scope(collection_id: str) -> str:
    """The consent to act on the data of a mapped collection."""
    return f"{_PREFIX}{collection_id}/data_access"


def https_scope(collection_id: str) -> str:
    """The right to ask the HTTPS server of a collection."""
    return f"{_PREFIX}{collection_id}/https"


def top_level_scopes(text: str) -> list[str]:
    """Split a scope string at blanks outside of brackets."""
    scopes, depth, current = [], 0, ""
    for letter in text + " ":
        depth += (letter == "[") - (letter == "]")
        if letter == " " and depth == 0:
            scopes += [current] if current else []
            current = ""
        else:
            current += letter
    return scopes


def _client(site: Site, authorization: str | None, form: dict[str, str]) -> Client:
    scheme, _, encoded = (authorization or "").partition(" ")
    client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            client_id = ""
    client = site.settings.client(client_id)
    if client is None or not secrets.compare_digest(client.client_secret.encode(), secret.encode()):
        raise AuthRefusal(401, "invalid_client", "the client is unknown or its secret is wrong")
    return client


def _resource_server(site: Site, scope: str) -> str:
    """Which server a scope is for; refused when there is no such scope."""
    plain, bracket, dependent = scope.lstrip("*").partition("[")
    for inner in top_level_scopes(dependent.removesuffix("]")) if bracket else ():
        _resource_server(site, inner)
    if plain == TRANSFER_SCOPE:
        return TRANSFER_SERVER
    if plain in AUTH_SCOPES:
        return AUTH_SERVER
    for collection in site.collections:
        consents = collection.entity_type != GUEST and not collection.high_assurance
        if plain == https_scope(collection.collection_id):
            return collection.collection_id
        if plain == data_access_scope(collection.collection_id) and consents:
            return collection.collection_id
    raise AuthRefusal(400, "UNKNOWN_SCOPE_ERROR", f"Unknown scope '{plain}'")


def issue_token(site: Site, authorization: str | None, body: bytes) -> Answer:
    """POST /v2/oauth2/token with the client's own credentials."""
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    client = _client(site, authorization, form)
    if form.get("grant_type") != "client_credentials":
        raise AuthRefusal(400, "unsupported_grant_type", "only client_credentials is known here")
    by_server: dict[str, list[str]] = {}
    for scope in top_level_scopes(form.get("scope") or TRANSFER_SCOPE):
        by_server.setdefault(_resource_server(site, scope), []).append(scope)
    tokens = [_new_token(site, client, server, scopes) for server, scopes in by_server.items()]
    return Answer(tokens[0] | {"other_tokens": tokens[1:]})


def _new_token(site: Site, client: Client, server: str, scopes: list[str]) -> Json:
    token = secrets.token_urlsafe(48)
    expires = site.clock.now() + site.limits.token_s
    values = (token, client.client_id, " ".join(scopes), expires)
    site.store.write("INSERT INTO token VALUES (?, ?, ?, ?)", values)
    return {
        "access_token": token,
        "scope": " ".join(scope.partition("[")[0] for scope in scopes),
        "expires_in": int(site.limits.token_s),
        "token_type": "Bearer",
        "resource_server": server,
    }


class Caller:
    """A client with the scopes of its token."""

    def __init__(self, client: Client, scopes: str) -> None:
        self.client = client
        self._scopes = scopes

    @property
    def client_id(self) -> str:
        """Id of the client, which is that of its identity."""
        return self.client.client_id

    def has(self, scope: str) -> bool:
        """Whether the token carries a scope, itself or as a dependent one."""
        return any(scope == part.strip("[]*") for part in self._scopes.replace("[", " ").split())

    def require_transfer(self) -> None:
        """Refuse a token that is for something else than the Transfer API."""
        if not self.has(TRANSFER_SCOPE):
            raise Refusal(403, "AuthorizationFailed", "the token is not for the Transfer API")

    def require_consent(self, collection: Collection) -> None:
        """Refuse when the collection wants a consent that the token has not."""
        scope = data_access_scope(collection.collection_id)
        if collection.requires_consent and not self.has(scope):
            needed = [f"{TRANSFER_SCOPE}[*{scope}]"]
            parameters: dict[str, Any] = {
                "session_message": "Missing required data_access consent",
                "required_scopes": needed,
            }
            message = "Missing required data_access consent"
            raise Refusal(403, "ConsentRequired", message, required_scopes=needed, authorization_parameters=parameters)


def identify(site: Site, authorization: str | None) -> Caller:
    """The caller behind an Authorization header; refused with 401 without a token that is good now."""
    scheme, _, token = (authorization or "").partition(" ")
    row = site.store.row("SELECT client, scopes, expires FROM token WHERE token = ?", (token,))
    client = site.settings.client(row["client"]) if row and scheme == "Bearer" else None
    if row is None or client is None or row["expires"] <= site.clock.now():
        raise Refusal(401, "AuthenticationFailed", "Token is not valid or has expired")
    return Caller(client, row["scopes"])


def expire_tokens(site: Site) -> None:
    """Every token issued so far is worth nothing now."""
    site.store.write("UPDATE token SET expires = 0")


class Meter:
    """Requests of each client in the last seconds of real time: those who wait for it live in it."""

    def __init__(self, per_second: float, window_s: float) -> None:
        self._allowed = per_second * window_s
        self._window_s = window_s
        self._times: dict[str, deque[float]] = {}

    def count(self, client_id: str) -> None:
        """Count a request, or refuse it with 429."""
        if not self._allowed:
            return
        times, now = self._times.setdefault(client_id, deque()), time.monotonic()
        while times and times[0] <= now - self._window_s:
            times.popleft()
        if len(times) >= self._allowed:
            wait = max(1, math.ceil(times[0] + self._window_s - now))
            headers = {"Retry-After": str(wait)}
            raise Refusal(429, "TooManyRequests", "Too many requests, slow down", headers=headers)
        times.append(now)
