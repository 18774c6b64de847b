"""The project's image for nodes that pull none: built by buildah, without a registry and without a daemon.

Three steps, each kept in the cache under the hash of what decides its content: a small Debian from debootstrap, the
wheels of the lock, checked by their hashes, and our own wheel. So a change of our code costs the last step alone. The
builds use no network. Nothing here starts a container.
"""

import contextlib
import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.cluster.errors import CommandError
from tests.cluster.programs import PAUSE, cache_folder, program_path, say

PAUSE_IMAGE = "localhost/pause:1"
"""Name of the image that holds a pod's namespaces, as the node's configuration has it."""
NEEDED = ("buildah", "debootstrap")
"""What building takes: programs, by the names of their Debian packages."""

_PROJECT = Path(__file__).parents[2]
_LOCK = _PROJECT / "requirements" / "operator.lock"
_SOURCES = ("crds", "watcher", "operator", "cli", "pyproject.toml", "README.md", "LICENSE")
_SUITE, _PYTHON = "bookworm", "3.11"
_PACKAGES = "python3,python3-venv,ca-certificates"
_UNUSED = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale")
_WHEEL_KINDS = ("--implementation=cp", "--abi=cp311", "--abi=abi3", "--abi=none", "--platform=any")
_GLIBC = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28")
_KEPT = 3
_INSTALL = "RUN --mount=type=bind,source=wheels,target=/wheels /venv/bin/pip install --no-index --no-deps /wheels/*.whl"
_DEPENDENCIES = f"""\
ARG BASE
FROM ${{BASE}}
RUN python3 -m venv /venv
{_INSTALL}
"""
_CONTAINERFILE = f"""\
ARG BASE
FROM ${{BASE}}
{_INSTALL}
USER 10001:10001
ENV PATH=/venv/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
ENTRYPOINT ["dichroism"]
"""
_PAUSE_CONTAINERFILE = """\
FROM scratch
COPY pause /pause
USER 65535:65535
ENTRYPOINT ["/pause"]
"""


@dataclass(frozen=True)
class Image:
    """An image in a file.

    Attributes:
        repository: its name as a pod has it, without the tag.
        tag: its tag.
        archive: the file, in the form of `docker save`.
    """

    repository: str
    tag: str
    archive: Path

    @property
    def name(self) -> str:
        """Repository and tag."""
        return f"{self.repository}:{self.tag}"


def missing() -> list[str]:
    """The programs that building takes and this machine has not."""
    return [name for name in NEEDED if shutil.which(name) is None]


@cache
def project_image() -> Image:
    """The image with the command ``dichroism`` of this working copy.

    Raises:
        CommandError: a program failed; ``stderr`` says why.
    """
    sources = [_PROJECT / name for name in _SOURCES]
    key = _digest(_dependencies_name().encode(), _CONTAINERFILE.encode(), *_contents(sources))

    def fill(context: Path) -> None:
        _pip("wheel", context, "--no-deps", "--no-build-isolation", str(_PROJECT))

    archive = _folder() / f"dichroism-{key}.tar"
    return _kept(Image("localhost/dichroism", key, archive), _CONTAINERFILE, fill, _dependencies)


@cache
def pause_image() -> Image:
    """The image of what holds the namespaces of every pod."""
    repository, _, tag = PAUSE_IMAGE.partition(":")

    def fill(context: Path) -> None:
        shutil.copy(program_path(PAUSE, "pause"), context / "pause")

    return _kept(Image(repository, tag, _folder() / f"pause-{PAUSE.key}.tar"), _PAUSE_CONTAINERFILE, fill, str)


def _kept(image: Image, containerfile: str, fill: Callable[[Path], None], base: Callable[[], str]) -> Image:
    """The image, built unless it is in the cache."""
    with _locked():
        if image.archive.exists():
            return image
        _build(image.name, containerfile, fill, base())
        scratch = image.archive.with_suffix(".part")
        scratch.unlink(missing_ok=True)
        _buildah("push", "--quiet", image.name, f"docker-archive:{scratch}:{image.name}")
        _buildah("rmi", image.name)
        scratch.rename(image.archive)
        _forget_old(image.archive)
    return image


def _build(name: str, containerfile: str, fill: Callable[[Path], None], base: str) -> None:
    say(f"building the image {name}, once")
    with tempfile.TemporaryDirectory(prefix="dichroism-image-") as scratch:
        context = Path(scratch)
        fill(context)
        (context / "Containerfile").write_text(containerfile)
        # Isolation by chroot takes no runc, no network and no rights over the cgroups of this machine.
        options = ("--quiet", "--isolation=chroot", f"--build-arg=BASE={base}", f"--tag={name}")
        _buildah("bud", *options, f"--file={context / 'Containerfile'}", scratch)


def _forget_old(archive: Path) -> None:
    """Keep the newest archives of a name only; those of other working copies may be in use now."""
    of_name = archive.parent.glob(f"{archive.name.partition('-')[0]}-*.tar")
    for old in sorted(of_name, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        old.unlink(missing_ok=True)


def _dependencies_name() -> str:
    return (
        f"localhost/dichroism-dependencies:{_digest(_base_name().encode(), _DEPENDENCIES.encode(), _LOCK.read_bytes())}"
    )


def _dependencies() -> str:
    """Name of the image with all that ours stands on, built first when buildah's store has none of it."""
    name = _dependencies_name()
    if not _stored(name):
        _build(name, _DEPENDENCIES, _locked_wheels, _base())
    return name


def _locked_wheels(context: Path) -> None:
    kinds = [*_WHEEL_KINDS, *(f"--platform={glibc}_{platform.machine()}" for glibc in _GLIBC)]
    chosen = ["--only-binary=:all:", "--no-deps", f"--python-version={_PYTHON}", *kinds]
    _pip("download", context, "--require-hashes", f"--requirement={_LOCK}", *chosen)


def _base_name() -> str:
    return f"localhost/dichroism-base:{_digest(_SUITE.encode(), _PACKAGES.encode())}"


def _base() -> str:
    """Name of the base image, made first when buildah's store has none of it; needs a mirror of Debian then."""
    name = _base_name()
    if _stored(name):
        return name
    say(f"making the base image from Debian {_SUITE}, once; about a minute")
    with tempfile.TemporaryDirectory(prefix="dichroism-base-") as scratch:
        root = Path(scratch) / "root"
        _run(["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root)])
        for unused in _UNUSED:
            shutil.rmtree(root / unused, ignore_errors=True)
        container = _buildah("from", "scratch").strip()
        _buildah("add", "--quiet", container, str(root), "/")
        _buildah("config", "--env=LANG=C.UTF-8", "--env=PATH=/usr/sbin:/usr/bin:/sbin:/bin", container)
        _buildah("commit", "--quiet", "--rm", container, name)
    return name


def _pip(command: str, context: Path, *args: str) -> None:
    """Have pip put wheels into the folder of a build."""
    folder = context / "wheels"
    folder.mkdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", command]
    _run([*pip, f"--{'dest' if command == 'download' else 'wheel-dir'}={folder}", *args])


def _stored(name: str) -> bool:
    try:
        _buildah("inspect", "--type=image", name)
    except CommandError:
        return False
    return True


def _buildah(*args: str) -> str:
    return _run(["buildah", f"--root={_folder() / 'storage'}", f"--runroot={_folder() / 'run'}", *args])


def _run(command: list[str]) -> str:
    # Modes in the image are those of the files we make, and a pod is not run by their owner.
    done = subprocess.run(command, capture_output=True, text=True, umask=0o022, timeout=1800)
    if done.returncode != 0:
        raise CommandError(" ".join(command[:3]), done.returncode, (done.stderr + done.stdout)[-4000:])
    return done.stdout


def _folder() -> Path:
    return cache_folder("images")


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    with (_folder() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _contents(paths: Iterable[Path]) -> Iterator[bytes]:
    """Names and contents of files, and of all files in folders, in an order of their own."""
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                yield str(file.relative_to(_PROJECT)).encode()
                yield file.read_bytes()


def _digest(*parts: bytes) -> str:
    """A hash of the parts, as a tag may be."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:12]
