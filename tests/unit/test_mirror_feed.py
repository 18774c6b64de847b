"""The feed of the mirror: bounded, each object once, and a watermark that never passes what was not shown."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dichroism_crds.kinds import Metadata, Scan, Step, Transfer, TransferItem, TransferPhase, TransferSpec
from dichroism_operator.mirror.feed import MARGIN, SCANS_WATERMARK, TRANSFERS_WATERMARK, Backlog, Due, Feed
from dichroism_operator.mirror.states import changed_at
from tests.unit.scan_cases import NOW, SIZE, WRITTEN, done, scan


def moment(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def started(kept: dict[str, str] | None = None) -> Feed:
    feed = Feed("als", batches=True)
    feed.begin(kept or {})
    return feed


def observed(feed: Feed, number: int) -> Scan:
    one = scan(f"{number}.txt", number=number)
    feed.observe(one)
    return one


def show_all(feed: Feed) -> list[str]:
    """Take everything, as if Prefect had taken it."""
    shown = []
    while due := feed.scans.take():
        feed.scans.done(due, due.changed)
        shown.append(due.what)
    return shown


def test_nothing_is_noted_before_this_process_leads() -> None:
    feed = Feed("als", batches=True)
    feed.observe(scan())
    assert not len(feed.scans)
    assert not feed.wake.is_set()


def test_the_oldest_change_comes_first_and_one_that_was_shown_does_not_come_again() -> None:
    feed = started()
    scans = [observed(feed, number) for number in (3, 1, 2)]
    observed(feed, 2)
    assert show_all(feed) == [scans[1].name, scans[2].name, scans[0].name]
    for one in scans:
        feed.observe(one)
    assert not len(feed.scans)
    feed.observe(done(scans[0], Step.TRANSFERRED, now=moment(60)))
    assert show_all(feed) == [scans[0].name]


def test_what_could_not_be_shown_waits_on() -> None:
    feed = started()
    one = observed(feed, 1)
    due = feed.scans.take()
    assert due
    assert len(feed.scans) == 1
    feed.scans.again(due)
    assert show_all(feed) == [one.name]


def test_a_full_queue_drops_and_the_next_list_brings_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dichroism_operator.mirror.feed.MOST_SCANS", 2)
    feed = started()
    kept: dict[str, str] = {}
    shown: list[str] = []
    scans = [scan(f"{number}.txt", number=number) for number in range(5)]
    for round_number in range(1, 5):
        feed.listing(moment(1000 * round_number))
        for one in scans:
            feed.observe(one)
        feed.listed()
        assert len(feed.scans) <= 2
        shown += show_all(feed)
        feed.advance(kept, moment(1000 * round_number))
        missing = [one for one in scans if one.name not in shown]
        if missing:
            assert datetime.fromisoformat(kept[SCANS_WATERMARK]) <= min(map(changed_at, missing))
    assert sorted(shown) == sorted(one.name for one in scans)


def test_a_list_that_was_cut_short_does_not_forget_what_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dichroism_operator.mirror.feed.MOST_SCANS", 1)
    feed = started()
    kept: dict[str, str] = {}
    feed.listing(moment(100))
    observed(feed, 1)
    observed(feed, 2)
    feed.listed()
    show_all(feed)
    feed.listing(moment(9000))  # ends with an error: listed() is not called
    feed.listing(moment(9100))
    feed.advance(kept, moment(9200))
    assert datetime.fromisoformat(kept[SCANS_WATERMARK]) <= moment(2)
    observed(feed, 2)
    assert len(show_all(feed)) == 1


STORIES = st.lists(
    st.tuples(st.sampled_from(["observe", "take", "done", "again", "list"]), st.integers(0, 6)), max_size=60
)


@given(STORIES)
def test_a_new_process_sees_everything_that_this_one_did_not_show(story: list[tuple[str, int]]) -> None:
    feed, kept = started(), dict[str, str]()
    newest: dict[int, int] = {}
    shown: dict[str, datetime] = {}
    taken: Due[str] | None = None
    for clock, (what, number) in enumerate(story, start=1):
        clock *= 400  # so that the margin is passed now and then
        match what:
            case "observe":
                newest[number] = clock
                feed.observe(done(scan(f"{number}.txt", number=number), Step.TRANSFERRED, now=moment(clock)))
            case "take" if taken is None:
                taken = feed.scans.take()
            case "done" if taken:
                feed.scans.done(taken, taken.changed)
                shown[taken.uid], taken = taken.changed, None
            case "again" if taken:
                feed.scans.again(taken)
                taken = None
            case "list":
                feed.listing(moment(clock))
                feed.listed()
        feed.advance(kept, moment(clock))
    after = started(kept)
    for number, clock in newest.items():
        one = done(scan(f"{number}.txt", number=number), Step.TRANSFERRED, now=moment(clock))
        after.observe(one)
        if shown.get(one.metadata.uid or "") != changed_at(one):
            assert one.metadata.uid in after.scans._due


def test_a_watermark_that_cannot_be_read_means_everything() -> None:
    for text in ("yesterday", "2026-11-22T18:00:00", ""):
        feed = started({SCANS_WATERMARK: text})
        observed(feed, 1)
        assert len(feed.scans) == 1
    feed = started({SCANS_WATERMARK: "2027-01-01T00:00:00.000000Z"})
    observed(feed, 1)
    assert not len(feed.scans)


def test_changes_within_the_margin_before_the_watermark_are_looked_at_once_more() -> None:
    kept = {SCANS_WATERMARK: (NOW + MARGIN).isoformat()}
    feed = started(kept)
    observed(feed, 1)
    assert len(feed.scans) == 1


def transfer(number: int, phase: TransferPhase) -> Transfer:
    item = TransferItem(scan="s", uid="u", path="a/b.txt", size=SIZE, modified_at=WRITTEN)
    one = Transfer(
        metadata=Metadata(name=f"t-{number:06d}", uid=f"t{number}", creation_timestamp=moment(number)),
        spec=TransferSpec(beamline="BL402", source="data402", destination="nersc402", submission_id="x", items=[item]),
    )
    one.status.phase = phase
    one.status.started_at = moment(number)
    if one.finished:
        one.status.completed_at = moment(number + 5)
    return one


def test_an_unfinished_transfer_holds_its_watermark_until_its_end_was_shown() -> None:
    feed, kept = started(), dict[str, str]()
    feed.transfers_known()
    for phase in (TransferPhase.ACTIVE, TransferPhase.SUCCEEDED):
        feed.observe_transfer(transfer(1, phase))
        feed.advance(kept, moment(9999))
        assert datetime.fromisoformat(kept[TRANSFERS_WATERMARK]) == moment(1)
        due = feed.transfers.take()
        assert due
        feed.transfer_shown(due)
        feed.transfers.done(due, due.changed)
    feed.advance(kept, moment(9999))
    assert datetime.fromisoformat(kept[TRANSFERS_WATERMARK]) == moment(9999)


def test_batches_can_be_left_out() -> None:
    feed = Feed("als", batches=False)
    feed.begin({})
    feed.observe_transfer(transfer(1, TransferPhase.ACTIVE))
    assert not len(feed.transfers)


def test_the_backlog_knows_how_far_it_is_behind() -> None:
    feed = started()
    assert feed.lag_s(moment(10)) == 0
    observed(feed, 3)
    assert feed.lag_s(moment(10)) == 7
    backlog: Backlog[str] = Backlog("Scan", 1)
    assert backlog.take() is None
