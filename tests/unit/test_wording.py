"""Numbers in messages: units that people read, no number hidden by rounding."""

import pytest

from dichroism_operator import wording


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (2_356_475, "2.4 MB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (20 * 10**9, "20.0 GB"),
        (10**18, "1000.0 PB"),
    ],
)
def test_sizes_are_told_in_the_unit_that_fits(count: int, text: str) -> None:
    assert wording.size(count) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 files"), (1, "1 file"), (412, "412 files")])
def test_one_file_is_not_files(count: int, text: str) -> None:
    assert wording.files(count) == text
