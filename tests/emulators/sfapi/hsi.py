"""A stand-in for ``hsi``, the program that reaches the tape archive: ``hsi -q "put -c on -H sha256 LOCAL : REMOTE"``.

The archive is a local folder; the stored hash lies beside it, as the archive keeps it beside the file. Like the real
one it overwrites without a word, with ``put`` and with ``mv``: whoever wants to keep a file has to look first.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from tests.emulators.sfapi import faults
from tests.emulators.sfapi.places import hash_file

STATE = Path(os.environ["SFAPI_EMULATOR_STATE"])
TAPE, FAULTS = STATE / "tape", STATE / "faults"


def main(command: str) -> int:
    """Run one command line; the exit code."""
    verb, *words = command.split()
    with (STATE / "hsi.log").open("a") as log:
        log.write(f"{os.environ.get('SLURM_JOB_ID', '-')}\t{command}\n")
    if (STATE / "tape-down").exists():
        print("*** hsi: HPSS is unavailable due to maintenance. Try again later. ***")
        return 1
    if fault := faults.take(FAULTS, "hsi-fails", command=command):
        print(fault.get("text", f"*** {verb}: HPSS_EIO: I/O error"))
        return 1
    if verb == "mkdir":
        _local(words[-1]).mkdir(parents=True, exist_ok=True)
        return 0
    if verb == "put":
        return _put(command, words)
    if verb == "mv":
        return _rename(*words)
    path = words[-1]
    if not _local(path).exists():
        print(f"*** {verb}: HPSS_ENOENT: No such file or directory: {path}")
        return 64
    if verb == "ls":
        _list(path, recursive="-R" in words)
    elif verb == "hashlist":
        print(f"{_hash_of(path)} sha256 {path} [hsi]" if _hash_of(path) else f"{path}: no hash")
    elif verb == "hashverify":
        same = hashlib.sha256(_local(path).read_bytes()).hexdigest() == _hash_of(path)
        print(f"{path}: (sha256) {'OK' if same else 'mismatch'}")
        return 0 if same else 1
    elif verb == "get":
        shutil.copyfile(_local(path), words[0])
    else:
        print(f"*** hsi: unknown command {verb}")
        return 64
    return 0


def _local(remote: str) -> Path:
    return TAPE / remote.lstrip("/")


def _hash_of(remote: str) -> str:
    file = hash_file(STATE, remote)
    return str(json.loads(file.read_text())) if file.exists() else ""


def _put(command: str, words: list[str]) -> int:
    local, remote = words[-3], words[-1]
    content = Path(local).read_bytes()
    target = _local(remote)
    if not target.parent.is_dir():
        print(f"*** put: HPSS_ENOENT: No such file or directory: {target.parent.name}")
        return 64
    if fault := faults.take(FAULTS, "hsi-dies", command=command):
        target.write_bytes(content[: len(content) // 2])
        end_job(Path(os.environ["SFAPI_EMULATOR_JOB"]), fault.get("state", "NODE_FAIL"))
    digest = hashlib.sha256(content).hexdigest()
    if faults.take(FAULTS, "hsi-corrupts", command=command):
        content = content[:-1] + bytes([content[-1] ^ 1])
    if faults.take(FAULTS, "hsi-wrong-hash", command=command):
        digest = hashlib.sha256(content + b"x").hexdigest()
    target.write_bytes(content)
    hash_file(STATE, remote).write_text(json.dumps(digest))
    return 0


def _rename(old: str, new: str) -> int:
    if not _local(old).exists():
        print(f"*** mv: HPSS_ENOENT: No such file or directory: {old}")
        return 64
    _local(old).replace(_local(new))
    if hash_file(STATE, old).exists():
        hash_file(STATE, old).replace(hash_file(STATE, new))
    return 0


def _list(remote: str, *, recursive: bool) -> None:
    path = _local(remote)
    if path.is_file():
        print(remote)
        return
    for folder, names, files in os.walk(path):
        print(f"/{Path(folder).relative_to(TAPE)}:")
        print("\n".join(sorted([*names, *files])))
        if not recursive:
            return


def end_job(job: Path, state: str) -> None:
    """Slurm says that the job ended so, and all its processes are gone."""
    (job / "says.json").write_text(json.dumps(state))
    os.killpg(os.getpgid(0), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[-1]))
