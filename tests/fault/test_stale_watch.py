"""A watch that is silent while Scans change is noticed, and the process is reported as not alive."""

from pathlib import Path

import pytest

from dichroism_crds.client import Api
from dichroism_crds.config import load
from dichroism_crds.kinds import Scan
from dichroism_operator.board import Board
from dichroism_operator.health import STALE_LIMIT_S, Health
from dichroism_operator.lanes.base import Context
from dichroism_operator.lanes.intake import Intake
from dichroism_operator.lanes.sweep import Sweep
from dichroism_operator.recorder import Recorder
from dichroism_operator.statuswriter import StatusWriter
from tests.fault.campaign import Campaign
from tests.site import Site


@pytest.fixture
def kubeconfig(site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBECONFIG", str(site.cluster.kubeconfig))
    return site.cluster.kubeconfig


async def test_a_watch_that_misses_what_the_list_shows_is_noticed_until_it_delivers(
    site: Site, kubeconfig: Path
) -> None:
    names = Campaign(site).add(2)
    config = load(site.config_file)
    async with await Api.connect(site.namespace) as api:
        board = Board()
        context = Context(
            api, config, board, StatusWriter(api, config, board, {}, lambda _: None), Recorder(api, "test"), {}
        )
        sweep = Sweep(context, Intake(context, {}, lambda _: False))
        health = Health()
        health.watch_stale_since = lambda: None if sweep.stale_since is None else sweep.stale_since - STALE_LIMIT_S

        await sweep.turn()
        assert len(board) == len(names), "the sweep alone brings every Scan to the board"
        assert not health.trouble(), "one sweep may be quicker than the watch"
        await sweep.turn()
        assert "the watch of Scans delivered nothing" in health.trouble()[0]

        for name in names[1:]:
            sweep.delivered((await api.get(Scan, name)).metadata)
        await sweep.turn()
        assert health.trouble(), "one Scan is still missing"
        sweep.delivered((await api.get(Scan, names[0])).metadata)
        await sweep.turn()
        assert not health.trouble()

        await api.delete(Scan, names[0])
        await sweep.turn()
        await sweep.turn()
        assert not health.trouble(), "what is gone need not be delivered"
        assert len(board) == len(names) - 1
