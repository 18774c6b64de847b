"""How requests are held back, without waiting for any of it."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from dichroism_watcher.throttle import BACKOFF_MOST_S, Throttle, backoff


@given(failures=st.integers(1, 1000), draw=st.floats(0, 1))
def test_the_wait_grows_to_a_minute_and_no_further(failures: int, draw: float) -> None:
    wait = backoff(failures, draw=lambda: draw)
    assert 0 <= wait <= min(BACKOFF_MOST_S, 0.5 * 2.0 ** min(failures - 1, 7))


def test_the_wait_starts_at_half_a_second_and_doubles() -> None:
    assert [backoff(n, draw=lambda: 1.0) for n in (1, 2, 3, 8, 9)] == [0.5, 1.0, 2.0, 60.0, 60.0]


def test_the_server_is_never_asked_sooner_than_it_wishes() -> None:
    assert backoff(1, retry_after=30.0, draw=lambda: 0.0) == 30.0
    assert backoff(9, retry_after=30.0, draw=lambda: 1.0) == 60.0


async def test_no_more_than_the_given_number_of_requests_run_at_once() -> None:
    throttle = Throttle(in_flight=3, rate=1e6)
    running, most = 0, 0

    async def request() -> None:
        nonlocal running, most
        async with throttle.slot():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.001)
            running -= 1

    await asyncio.gather(*(request() for _ in range(20)))
    assert most == 3


async def test_requests_that_fail_together_count_once_and_one_answer_ends_the_outage() -> None:
    throttle = Throttle(rate=1e6)
    throttle.failed(retry_after=3600)
    throttle.failed(retry_after=7200)
    assert throttle.failing
    assert throttle.answered()
    assert not throttle.failing
    assert not throttle.answered()


async def test_nobody_asks_while_the_api_does_not_serve_us() -> None:
    throttle = Throttle(rate=1e6)
    throttle.failed(retry_after=3600)
    slot = throttle.slot()
    waiting = asyncio.ensure_future(slot.__aenter__())
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    waiting.cancel()
