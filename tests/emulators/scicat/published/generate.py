"""``python -m tests.emulators.scicat.published.generate [--check]``: write the tables from the published packages.

Needs ``npm``, which fetches the package from the registry that this machine is set up for. A package whose hash is not
the pinned one is refused.
"""

import argparse
import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "@scicatproject/scicat-sdk-ts-fetch"
VERSIONS = {
    "4.17.0": "sha512-+TnsHNK5e6K9qN06b4aSUj/guFm/j9GwuqXLc02FZAyTTaaCKYEVdmsMLZb1vbgC6v0sxZb9hevR5e0qWxbpUg==",
    "5.3.2": "sha512-DMUvPNBSodu5xEmTuQ+20RdrDFvRskU5qEsQjh5woU/+0vHqggQbfw2LMbqTo/f0o51IXENbjAXSLravsfleLA==",
}
"""The packages that are published next to the backends 4.27 and 5.2, with the hashes that npm records for them."""
FOLDER = Path(__file__).parent

_APIS = re.compile(r"package/src/apis/\w+Api\.ts")
_CONCERNS_US = re.compile(
    r"/api/v\d/(auth/(login|whoami)|users/login|(datasets|origdatablocks|datablocks|attachments)(?!.*public).*)"
)
_CALL = re.compile(r"async \w+Raw\(.*?Promise<runtime\.ApiResponse<(.+?)>> \{(.*?)\n    \}\n", re.DOTALL)
_PATH = re.compile(r"(?:path: |let urlPath = )`([^`]+)`")
_METHOD = re.compile(r"method: '(\w+)'")
_BODY = re.compile(r"body: (\w+)ToJSON\(")
_INTERFACE = re.compile(r"^export interface \w+ \{\n(.*?)^\}", re.DOTALL | re.MULTILINE)
_FIELD = re.compile(r"^    (\w+\??): (.+);$", re.MULTILINE)
_KIND = re.compile(r"import type \{ (\w+Dto) \}")
_WORD = re.compile(r"\w+")

Models = dict[str, dict[str, str]]
Routes = dict[str, dict[str, str]]


def fetched(version: str, folder: Path) -> Path:
    """The package's archive, whole as it was published.

    Raises:
        ValueError: it has another hash than the pinned one.
    """
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), f"{PACKAGE}@{version}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob(f"*-{version}.tgz")
    digest = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != VERSIONS[version]:
        raise ValueError(f"{PACKAGE} {version} has the hash {digest}, not {VERSIONS[version]}: do not use it")
    return archive


def sources(archive: Path) -> dict[str, str]:
    """Its TypeScript files by path."""
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name.startswith("package/src/") else None
            if content is not None:
                found[member.name] = content.read().decode()
    return found


def routes_of(files: dict[str, str]) -> Routes:
    """Every route that concerns datasets, what belongs to them, and the login."""
    routes: Routes = {}
    for name, text in files.items():
        for answer, code in _CALL.findall(text) if _APIS.fullmatch(name) else ():
            path, method, body = _PATH.search(code), _METHOD.search(code), _BODY.search(code)
            if path and method and _CONCERNS_US.fullmatch(path[1]):
                request = {"request": _kinds(body[1], files)} if body else {}
                routes[f"{method[1]} {path[1]}"] = request | {"answer": answer}
    return dict(sorted(routes.items()))


def _kinds(body: str, files: dict[str, str]) -> str:
    """The model of a body. Where a route takes several, the package wraps them and only its imports name each."""
    if not body.endswith("Request"):
        return body
    kinds = _KIND.findall(files[f"package/src/models/{body}.ts"])
    return " | ".join(sorted(kind for kind in kinds if "Dataset" in kind))


def models_of(files: dict[str, str], wanted: Iterable[str]) -> Models:
    """The wanted models and all that occur in their fields."""
    models: Models = {}
    waiting = [*wanted]
    while waiting:
        for name in _WORD.findall(waiting.pop()):
            text = files.get(f"package/src/models/{name}.ts", "")
            interface = _INTERFACE.search(text)
            if interface is None or name in models:
                continue
            fields = dict(_FIELD.findall(re.sub(r"/\*\*.*?\*/", "", interface[1], flags=re.DOTALL)))
            models[name] = {field: "string" if kind.endswith("Enum") else kind for field, kind in fields.items()}
            waiting.extend(models[name].values())
    return dict(sorted(models.items()))


def table(version: str) -> str:
    """The committed text for a version: one model or route a line."""
    with tempfile.TemporaryDirectory() as folder:
        files = sources(fetched(version, Path(folder)))
    routes = routes_of(files)
    models = models_of(files, (model for route in routes.values() for model in route.values()))
    about = {"package": PACKAGE, "version": version, "integrity": VERSIONS[version]}
    parts = [f' "{key}": {json.dumps(value)}' for key, value in about.items()]
    for key, entries in (("models", models), ("routes", routes)):
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items())
        parts.append(f' "{key}": {{\n{lines}\n }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> int:
    """Write the tables, or say which differ."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.scicat.published.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a table is not as committed")
    check = parser.parse_args().check
    differ = False
    for version in VERSIONS:
        target, text = FOLDER / f"fields-{version}.json", table(version)
        if not check:
            target.write_text(text)
        elif not target.is_file() or target.read_text() != text:
            print(f"{target.name} is not what the package says: run this without --check")
            differ = True
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
