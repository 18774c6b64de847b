"""Base of the sections and the field types they share: paths at a site, web addresses, one line of text."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dichroism_crds.config.quantities import Duration, Size
from dichroism_crds.paths import MAX_PATH


class Section(BaseModel):
    """Base of every section: unknown keys are errors, nothing changes after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


def _clean_absolute(path: str, what: str) -> str:
    """The path without trailing slashes, so that it can be compared with the one recorded in an object."""
    if not path.startswith("/"):
        raise ValueError(f"{path[:80]!r} is relative: {what} must be an absolute path")
    if len(path) > MAX_PATH:
        raise ValueError(f"is longer than {MAX_PATH} characters")
    if any(ord(character) < 0x20 or character == "\x7f" for character in path):
        raise ValueError(f"{path[:80]!r} has a control character")
    stripped = path.rstrip("/")
    if any(component in ("", ".", "..") for component in stripped.split("/")[1:]):
        raise ValueError(f"{path[:80]!r} has an empty, '.' or '..' component: write the path without it")
    return stripped or "/"


def _root_path(path: str) -> str:
    cleaned = _clean_absolute(path, "the root of an endpoint")
    if cleaned == "/":
        raise ValueError("'/' would make every file of the site part of the endpoint: name the folder of the data")
    return cleaned


def _globus_path(path: str) -> str:
    return _clean_absolute(path, "a path on a collection")


def _mount(path: Path) -> Path:
    cleaned = _clean_absolute(str(path), "a mount")
    if cleaned == "/":
        raise ValueError("'/' would make every file of this machine part of the endpoint: name the mounted folder")
    return Path(cleaned)


def _web_address(url: str) -> str:
    # The text is never repeated in the message: somebody may have written a password into it.
    try:
        parts = urlsplit(url)
        host, user, _port = parts.hostname, parts.username, parts.port
    except ValueError:
        raise ValueError("is not a web address") from None
    if parts.scheme not in ("http", "https") or not host or any(character.isspace() for character in url):
        raise ValueError("is not a web address that starts with https:// or http:// and names a host")
    if user is not None or parts.password is not None:
        raise ValueError("must not carry a user or password: secrets come from the environment")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query ('?') or fragment ('#')")
    return url.rstrip("/")


def _one_line(text: str) -> str:
    if not text.strip() or any(ord(character) < 0x20 or character == "\x7f" for character in text):
        raise ValueError("must be one line of text")
    return text


def _positive(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return duration


def _sentinel(name: str) -> str:
    if name.count("{name}") + name.count("{stem}") != 1 or "/" in name or name in ("{name}", "{stem}"):
        raise ValueError("must be the name of a file beside the scan file, with {name} or {stem} in it once")
    return name


Text = Annotated[str, AfterValidator(_one_line), Field(max_length=256)]
WebAddress = Annotated[str, AfterValidator(_web_address), Field(max_length=2048)]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
PositiveSize = Annotated[Size, Field(ge=1)]
RootPath = Annotated[str, AfterValidator(_root_path)]
CollectionPath = Annotated[str, AfterValidator(_globus_path)]
Mount = Annotated[Path, AfterValidator(_mount)]
SentinelName = Annotated[str, AfterValidator(_one_line), AfterValidator(_sentinel), Field(max_length=256)]
