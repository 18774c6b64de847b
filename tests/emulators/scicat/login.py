"""Login and whoami."""

import base64
import json
import secrets
import time

from tests.emulators.scicat.answers import Answer, Refusal
from tests.emulators.scicat.documents import timestamp
from tests.emulators.scicat.site import Call


def _new_token(username: str, ttl: float) -> str:
    """Looks like a JWT. It is looked up, not verified."""
    now = time.time()
    claims = json.dumps({"username": username, "iat": int(now), "exp": int(now + ttl)}).encode()
    return f"eyJhbGciOiJIUzI1NiJ9.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.{secrets.token_urlsafe(32)}"


async def login(call: Call) -> Answer:
    """POST /auth/login."""
    credentials = call.body()
    account = call.site.settings.account(str(credentials.get("username")))
    if account is None or account.password != credentials.get("password"):
        raise Refusal(401, "Unauthorized")
    ttl = call.site.settings.token_ttl
    token = _new_token(account.username, ttl)
    call.site.store.add_token(token, account.username, ttl)
    user = {"id": account.username, "username": account.username, "email": account.email, "authStrategy": "local"}
    return Answer(
        {
            "access_token": token,
            "id": token,
            "expires_in": int(ttl),
            "ttl": int(ttl),
            "created": timestamp(),
            "userId": account.username,
            "user": user,
        },
        status=201,
    )


async def users_login(call: Call) -> Answer:
    """POST /users/login: a leftover that answers 201 with nothing."""
    return Answer(None, status=201)


async def whoami(call: Call) -> Answer:
    """GET /auth/whoami: the account and its groups; nobody is refused."""
    account = call.caller.account
    if account is None:
        raise Refusal(401, "Unauthorized")
    return Answer({"username": account.username, "email": account.email, "currentGroups": list(account.groups)})
