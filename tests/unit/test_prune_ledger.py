"""What lies in the trash is read from the names there, whatever a crash or a stranger left."""

from hypothesis import given
from hypothesis import strategies as st

from dichroism_operator.movers.base import FileStat
from dichroism_operator.prune.ledger import derive, trash_folder, trash_path
from tests.unit.prune_cases import PATH, SIZE, WRITTEN, prune, scan

NAMES = st.text(st.characters(exclude_characters="/\x7f", min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1)


@given(NAMES.filter(lambda name: name not in (".", "..")))
def test_a_file_in_the_trash_is_found_again_whatever_it_is_called(name: str) -> None:
    object_ = prune([scan(path=f"2026/{name}"), scan()])
    index = next(number for number, item in enumerate(object_.spec.items) if item.path == f"2026/{name}")
    path = trash_path(object_, index)
    folder, _, base = path.rpartition("/")
    assert folder == trash_folder(object_.name) == f".dichroism/trash/{object_.name}"
    assert len(base.encode()) <= 255
    ledger = derive(object_, {base: FileStat(SIZE, WRITTEN)})
    assert [(entry.index, entry.path, entry.intact) for entry in ledger.entries] == [(index, path, True)]
    assert not ledger.strangers


@given(st.text(min_size=1))
def test_names_that_we_did_not_give_are_strangers(name: str) -> None:
    ledger = derive(prune(), {name: FileStat(SIZE, WRITTEN)})
    assert ledger.strangers == (name,)
    assert not ledger.entries


def test_an_index_or_a_basename_of_another_prune_is_a_stranger() -> None:
    names = ["1-0123abcd-TrajScan31914-1_0001.txt", "0-0123abcd-Other.txt", "00-0123abcd-TrajScan31914-1_0001.txt"]
    assert set(derive(prune(), dict.fromkeys(names, FileStat(SIZE, WRITTEN))).strangers) == set(names)


def test_another_content_in_the_trash_is_seen() -> None:
    name = trash_path(prune(), 0).rpartition("/")[2]
    (entry,) = derive(prune(), {name: FileStat(SIZE + 1, WRITTEN)}).entries
    assert not entry.intact


def test_two_files_of_one_item_are_both_kept_in_the_books() -> None:
    names = [trash_path(prune(), 0).rpartition("/")[2] for _ in range(2)]
    ledger = derive(prune(), dict.fromkeys(names, FileStat(SIZE, WRITTEN)))
    assert len(ledger.entries) == 2
    assert ledger.indexes == {0}
    assert ledger.entries[0].item.path == PATH
