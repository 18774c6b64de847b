"""Where the emulated tape archive keeps what belongs to a file but is not its content."""

from pathlib import Path


def hash_file(state: Path, remote: str) -> Path:
    """The stored hash of a file on tape."""
    return state / "hashes" / (remote.strip("/").replace("/", "%") + ".json")
