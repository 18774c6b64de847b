"""Logins: a signed JWT becomes a token of about ten minutes, as long as the client has not expired."""

import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

TOKEN_S = 600


class Access:
    """Clients and tokens, kept in files."""

    def __init__(self, state: Path) -> None:
        self._clients = state / "clients.json"
        self._tokens = state / "tokens.json"

    def issue(self, form: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        """Answer a token request: status and body."""
        clients = json.loads(self._clients.read_text())
        for client_id, client in clients.items():
            try:
                claims = jwt.decode(form.get("client_assertion", ""), RSAKey.import_key(client["key"])).claims
            except (JoseError, ValueError):
                continue
            if claims.get("iss") != client_id or claims.get("exp", 0) < time.time():
                continue
            if client["expires"] < time.time():
                return 401, {"error": "invalid_client", "error_description": "Client authentication failed: expired"}
            token = secrets.token_urlsafe(24)
            self._put({**self._known(), token: {"client": client_id, "until": time.time() + TOKEN_S}})
            return 200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_S - 1}
        return 401, {"error": "invalid_client", "error_description": "Client authentication failed"}

    def client_of(self, authorization: str) -> str | None:
        """The client that a token was given to, while both are valid."""
        known = self._known().get(authorization.removeprefix("Bearer "))
        if known is None or known["until"] < time.time():
            return None
        client = json.loads(self._clients.read_text()).get(known["client"])
        return str(known["client"]) if client and client["expires"] > time.time() else None

    def expires(self, client_id: str) -> float:
        """When the client ends, in seconds since the epoch."""
        return float(json.loads(self._clients.read_text())[client_id]["expires"])

    def expire_tokens(self) -> None:
        """Every token ends now."""
        self._put({})

    def _known(self) -> dict[str, dict[str, float]]:
        return dict(json.loads(self._tokens.read_text())) if self._tokens.exists() else {}

    def _put(self, tokens: Mapping[str, object]) -> None:
        unfinished = self._tokens.with_suffix(".new")
        unfinished.write_text(json.dumps(tokens))
        unfinished.replace(self._tokens)
