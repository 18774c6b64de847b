"""The project's image for nodes that pull none: what `make image` builds, as an archive that can be imported.

It is built on Debian's own packages by buildah, without a registry and without a daemon, and kept in the cache under
the hash of what decides its content, so only the first build and the first after a change take time. How it is made
stands in ``image/build.sh`` and ``image/Containerfile``. Nothing here starts a container.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
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
_SOURCES = (
    *("crds", "watcher", "operator", "cli", "image"),
    *("requirements/operator.lock", "pyproject.toml", "README.md", "LICENSE"),
)
_KEPT = 3
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
    key = _digest(*_contents(_PROJECT / name for name in _SOURCES))
    image = Image("localhost/dichroism", key, _folder() / f"dichroism-{key}.tar")

    def build(archive: Path) -> None:
        wanted = {"IMAGE": image.name, "ARCHIVE": str(archive), "PYTHON": sys.executable}
        _run(["bash", str(_PROJECT / "image" / "build.sh")], wanted | build_means())

    return _kept(image, build)


def build_means() -> dict[str, str]:
    """Variables with which ``image/build.sh`` and ``make image`` need neither a registry nor a daemon."""
    return {"BASE": "debian", "ENGINE": "buildah", "STORAGE": str(_folder())}


def save(name: str, archive: Path) -> Image:
    """Write an image that was built with :func:`build_means` to a file."""
    repository, _, tag = name.rpartition(":")
    _buildah("push", "--quiet", name, f"docker-archive:{archive}:{name}")
    return Image(repository, tag, archive)


def forget(name: str) -> None:
    """Remove an image that was built with :func:`build_means`, if it is there."""
    with contextlib.suppress(CommandError):
        _buildah("rmi", name)


@cache
def pause_image() -> Image:
    """The image of what holds the namespaces of every pod."""
    repository, _, tag = PAUSE_IMAGE.partition(":")
    image = Image(repository, tag, _folder() / f"pause-{PAUSE.key}.tar")

    def build(archive: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="dichroism-pause-") as context:
            shutil.copy(program_path(PAUSE, "pause"), Path(context) / "pause")
            Path(context, "Containerfile").write_text(_PAUSE_CONTAINERFILE)
            _buildah("bud", "--quiet", "--isolation=chroot", f"--tag={image.name}", context)
        save(image.name, archive)

    return _kept(image, build)


def _kept(image: Image, build: Callable[[Path], None]) -> Image:
    """The image, built unless it is in the cache."""
    with _locked():
        if not image.archive.exists():
            say(f"building the image {image.name}, once")
            scratch = image.archive.with_suffix(".part")
            scratch.unlink(missing_ok=True)
            build(scratch)
            forget(image.name)  # the archive is what is used; the base stays
            scratch.rename(image.archive)
            _forget_old(image.archive)
    return image


def _forget_old(archive: Path) -> None:
    """Keep the newest archives of a name only; those of other working copies may be in use now."""
    of_name = archive.parent.glob(f"{archive.name.partition('-')[0]}-*.tar")
    for old in sorted(of_name, key=lambda path: path.stat().st_mtime, reverse=True)[_KEPT:]:
        old.unlink(missing_ok=True)


def _buildah(*args: str) -> str:
    return _run(["buildah", f"--root={_folder() / 'storage'}", f"--runroot={_folder() / 'run'}", *args])


def _run(command: list[str], variables: Mapping[str, str] | None = None) -> str:
    environment = {**os.environ, **(variables or {})}
    # Modes in the image are those of the files we make, and a pod is not run by their owner.
    done = subprocess.run(command, env=environment, capture_output=True, text=True, umask=0o022, timeout=3600)
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
