"""Bundles: plain tars with a true manifest in front, which nothing can damage unseen."""

import ast
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dichroism_crds.paths import check_relative_path
from dichroism_crds.reasons import Reason
from dichroism_crds.timestamps import format_time, from_ns, to_ns
from dichroism_operator.movers import bundle
from dichroism_operator.movers.bundle import (
    ABSENT,
    DIFFERS,
    VERIFIED,
    BundleDamagedError,
    Member,
    Packed,
    check_bundle,
    pack,
    read_manifest,
    verify_members,
)
from dichroism_operator.movers.unpacking import unpack
from tests.unit.mover_contract import AWKWARD_NAMES, MOMENT, put, sha256

MOMENT_US = to_ns(MOMENT) // 1000
CONTENTS = {
    "2026/261122/TrajScan31914-1_0001.txt": b"energy\tsignal\n" * 300,
    "2026/261122/empty.txt": b"",
    "MANIFEST.tsv": b"a scan with an unlucky name",
    "n" * 255 + "/" + "ü" * 127: b"long names" * 1000,
}


def packed(root: Path, contents: dict[str, bytes], *more: Member) -> tuple[Packed, io.BytesIO]:
    """Write the files and pack them."""
    members = []
    for path, content in contents.items():
        item = put(root, path, content)
        members.append(Member(path, item.size, MOMENT_US))
    return pack_members(root, *members, *more)


def pack_members(root: Path, *members: Member) -> tuple[Packed, io.BytesIO]:
    out = io.BytesIO()
    folder = os.open(root, os.O_RDONLY)
    try:
        return pack(folder, members, out), out
    finally:
        os.close(folder)


def wanted(contents: dict[str, bytes]) -> dict[str, tuple[int, str]]:
    return {path: (len(content), sha256(content)) for path, content in contents.items()}


def test_a_bundle_gives_back_every_byte_and_says_what_it_holds(tmp_path: Path) -> None:
    result, tar = packed(tmp_path, CONTENTS)
    assert result.left_out == ()
    assert (result.sha256, result.size) == (sha256(tar.getvalue()), len(tar.getvalue()))
    assert [(one.path, one.size, one.modified_us, one.sha256) for one in result.members] == [
        (path, len(content), MOMENT_US, sha256(content)) for path, content in CONTENTS.items()
    ]
    tar.seek(0)
    assert check_bundle(tar) == (result.members, result.sha256, result.size)
    assert read_manifest(tar) == result.members
    assert verify_members(tar, wanted(CONTENTS)) == dict.fromkeys(CONTENTS, VERIFIED)
    assert taken_out(tar, wanted(CONTENTS)) == {path: (MOMENT_US, content) for path, content in CONTENTS.items()}


def taken_out(tar: io.BytesIO, contents: dict[str, tuple[int, str]]) -> dict[str, tuple[int | None, bytes]]:
    """Time and content of each member that could be unpacked."""
    found: dict[str, tuple[int | None, bytes]] = {}

    @contextmanager
    def place(path: str, modified_us: int | None) -> Iterator[io.BytesIO]:
        out = io.BytesIO()
        yield out
        found[path] = modified_us, out.getvalue()

    states = unpack(tar, contents, place)
    assert found.keys() == {path for path, state in states.items() if state == VERIFIED}
    return found


def test_any_tar_program_reads_a_bundle(tmp_path: Path) -> None:
    """GNU tar knows nothing of us: names, bytes and times to the microsecond."""
    contents = {f"{name}/{name}": name.encode() for name in AWKWARD_NAMES if name != "MANIFEST.tsv"}
    (tmp_path / "root").mkdir()
    result, tar = packed(tmp_path / "root", contents)
    (tmp_path / "out").mkdir()
    (tmp_path / "bundle.tar").write_bytes(tar.getvalue())
    subprocess.run(["tar", "-xf", tmp_path / "bundle.tar", "-C", tmp_path / "out"], check=True)
    for path, content in contents.items():
        file = tmp_path / "out" / path
        assert file.read_bytes() == content
        assert file.stat().st_mtime_ns == to_ns(MOMENT)
    manifest = (tmp_path / "out/MANIFEST.tsv").read_text().removesuffix("\n").split("\n")
    assert manifest[0] == "path\tsize\tmodified_at\tsha256"
    assert manifest[1:] == [
        f"{path}\t{len(content)}\t{format_time(MOMENT)}\t{sha256(content)}" for path, content in contents.items()
    ]
    assert len(result.members) == len(contents)


def test_the_same_files_make_the_same_bundle(tmp_path: Path) -> None:
    first, _ = packed(tmp_path / "here", CONTENTS)
    for path in (tmp_path / "here").rglob("*"):
        path.chmod(0o700)
    (tmp_path / "here").rename(tmp_path / "there")
    second, _ = packed(tmp_path / "there", CONTENTS)
    assert first == second


def test_members_that_cannot_be_packed_are_left_out_with_their_reason(tmp_path: Path) -> None:
    put(tmp_path, "changed", b"longer than planned")
    put(tmp_path, "rotten", b"rotten")
    put(tmp_path, "folder/file", b"x")
    (tmp_path / "link").symlink_to("rotten")
    with (tmp_path / "huge").open("wb") as sparse:
        sparse.truncate(bundle.MAX_MEMBER_BYTES + 1)
    result, tar = packed(
        tmp_path,
        {"good": b"good", "good too": b"good too"},
        Member("gone", 3, MOMENT_US),
        Member("changed", 3, MOMENT_US),
        Member("rotten", 6, MOMENT_US, sha256(b"intact")),
        Member("folder", 3, MOMENT_US),
        Member("link", 6, MOMENT_US),
        Member("huge", bundle.MAX_MEMBER_BYTES + 1, MOMENT_US),
        Member("folder/file", 1, MOMENT_US, sha256(b"x")),
    )
    assert {one.path: one.reason for one in result.left_out} == {
        "gone": "SourceMissing",
        "changed": "SourceChanged",
        "rotten": "ChecksumMismatch",
        "folder": "SourceUnreadable",
        "link": "SourceUnreadable",
        "huge": "TooLarge",
    }
    assert all(one.path in one.message for one in result.left_out)
    tar.seek(0)
    assert [one.path for one in check_bundle(tar).members] == ["good", "good too", "folder/file"]
    assert (result.sha256, result.size) == (sha256(tar.getvalue()), len(tar.getvalue()))


def test_a_bundle_without_members_is_empty(tmp_path: Path) -> None:
    result, tar = pack_members(tmp_path, Member("gone", 3, MOMENT_US))
    assert (result.members, result.size, tar.getvalue()) == ((), 0, b"")


def test_a_member_that_changes_between_hashing_and_packing_is_left_out(tmp_path: Path) -> None:
    """Its bytes change while its size and time stay: only the second hash can see it."""
    put(tmp_path, "first", b"1" * 10)
    put(tmp_path, "second", b"2" * 20)
    put(tmp_path, "third", b"3" * 30)
    members = [Member(name, size, MOMENT_US) for name, size in (("first", 10), ("second", 20), ("third", 30))]
    read = 0

    def progress(count: int) -> None:
        nonlocal read
        read += count
        if read == 60 and count:
            put(tmp_path, "second", b"X" * 20)

    out = io.BytesIO()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        result = pack(folder, members, out, progress=progress)
    finally:
        os.close(folder)
    assert [(one.path, one.reason) for one in result.left_out] == [("second", "ChecksumMismatch")]
    out.seek(0)
    assert [one.path for one in check_bundle(out).members] == ["first", "third"]


@pytest.mark.parametrize("path", ["tab\there", "line\nbreak", "\x7f"])
def test_a_path_that_would_break_the_manifest_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        pack_members(tmp_path, Member(path, 1, MOMENT_US))


@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/hostname", "a//b", "", "."])
def test_a_path_never_leads_outside_the_root(tmp_path: Path, path: str) -> None:
    (tmp_path / "a").mkdir()
    put(tmp_path.parent, "x", b"x")
    with pytest.raises(ValueError, match="path"):
        pack_members(tmp_path, Member(path, 1, MOMENT_US))


def test_verification_tells_missing_from_different(tmp_path: Path) -> None:
    _, tar = packed(tmp_path, CONTENTS)
    name = next(iter(CONTENTS))
    states = verify_members(
        tar, {name: (4200, sha256(b"other")), "MANIFEST.tsv": (1, sha256(b"")), "never packed": (1, sha256(b"x"))}
    )
    assert states == {name: DIFFERS, "MANIFEST.tsv": DIFFERS, "never packed": ABSENT}


def test_other_files_are_not_taken_for_bundles(tmp_path: Path) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    for strange in (b"", b"no tar at all", b"\0" * 10240, plain.getvalue()):
        for read in (check_bundle, read_manifest):
            with pytest.raises(BundleDamagedError):
                read(io.BytesIO(strange))
        assert verify_members(io.BytesIO(strange), {"x": (0, sha256(b""))}) == {"x": DIFFERS}


def test_a_member_behind_the_manifest_is_found_out(tmp_path: Path) -> None:
    _, tar = packed(tmp_path, {"one": b"1"})
    tar.seek(0)
    with tarfile.open(fileobj=tar, mode="a") as opened:
        opened.addfile(tarfile.TarInfo("smuggled"))
    tar.seek(0)
    with pytest.raises(BundleDamagedError, match="smuggled"):
        check_bundle(tar)


names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="/\x7f" + "".join(map(chr, range(32)))),
    min_size=1,
    max_size=40,
).filter(lambda name: name not in (".", ".."))
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
quiet = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@quiet
@given(contents=st.dictionaries(paths, st.binary(max_size=3000), min_size=1, max_size=5), times=st.data())
def test_any_names_contents_and_times_come_back(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes], times: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("any")
    members = []
    for path, content in contents.items():
        if any(other.startswith(f"{path}/") for other in contents) or len(path.encode()) > 200:
            continue
        check_relative_path(path)
        put(root, path, content)
        nanoseconds = times.draw(st.integers(0, 4_000_000_000_000_000_000))
        os.utime(root / path, ns=(0, nanoseconds))
        members.append(Member(path, len(content), nanoseconds // 1000))
    result, tar = pack_members(root, *members)
    assert [one._replace(sha256=None) for one in result.members] == members
    if members:
        tar.seek(0)
        assert check_bundle(tar).members == result.members
        kept = {one.path: contents[one.path] for one in members}
        assert verify_members(tar, wanted(kept)) == dict.fromkeys(kept, VERIFIED)


@quiet
@given(st.integers(-(10**15), 10**16))
def test_times_in_the_manifest_are_exact(modified_us: int) -> None:
    assert bundle.parse_us(bundle.format_us(modified_us)) == modified_us
    assert bundle.format_us(modified_us) == format_time(from_ns(modified_us * 1000)) or modified_us < 0


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return packed(tmp_path_factory.mktemp("sound"), CONTENTS)[1].getvalue()


@settings(max_examples=4 * settings().max_examples)
@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
def test_no_damage_goes_unseen(sound: bytes, where: float, flip: int, cut: bool) -> None:
    """One byte changed or the end cut off, anywhere: the whole differs, and what still verifies is intact."""
    at = int(where * len(sound))
    damaged = sound[:at] if cut else sound[:at] + bytes([sound[at] ^ flip]) + sound[at + 1 :]
    try:
        checked = check_bundle(io.BytesIO(damaged))
    except BundleDamagedError:
        pass
    else:
        assert (checked.sha256, checked.size) != (sha256(sound), len(sound))
    states = verify_members(io.BytesIO(damaged), wanted(CONTENTS))
    for path, state in states.items():
        assert state in (VERIFIED, DIFFERS, ABSENT)
        if state == VERIFIED:
            assert CONTENTS[path] in damaged


def test_the_words_for_what_was_left_out_are_reasons() -> None:
    words = {bundle.MISSING, bundle.CHANGED, bundle.UNREADABLE, bundle.MISMATCH, bundle.TOO_LARGE}
    assert words <= {reason.value for reason in Reason}


def test_the_packer_can_be_sent_to_a_site_as_one_file() -> None:
    """It imports the standard library only, and nothing that Python 3.9 does not have."""
    source = Path(bundle.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 9))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names
