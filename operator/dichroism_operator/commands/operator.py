"""``dichroism operator``: the long-running process in the cluster."""

import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path

import click

from dichroism_crds.client import Api, ApiError
from dichroism_crds.config import Config, check_runnable
from dichroism_operator import logs
from dichroism_operator.commands.options import (
    EXIT_UNEXPECTED,
    config_option,
    loaded,
    log_format_option,
    namespace_option,
    refuse,
)
from dichroism_operator.health import Health
from dichroism_operator.lanes.sweep import EVERY_S
from dichroism_operator.lease import DURATION_S, LeaseLostError
from dichroism_operator.runtime import Operator

NEW_OBJECTS = (10_000, 20, 20)
"""How often Python looks for reference cycles. After 700 new objects, its own choice, one answer of the API server is
reason enough: that took a third of this process's time (docs/performance.md) and found next to nothing."""

log = logging.getLogger(__name__)


@click.command()
@config_option
@namespace_option
@click.option("--host", default="0.0.0.0", show_default=True, help="Address for health and metrics.")  # noqa: S104
@click.option("--port", default=8080, show_default=True, help="Port for /livez, /readyz and /metrics; 0: none.")
@click.option(
    "--lease-seconds",
    envvar="DICHROISM_LEASE_SECONDS",
    type=click.IntRange(2, 300),
    default=DURATION_S,
    show_default=True,
    help="When an operator died without a word, another takes over after this time.",
)
@click.option(
    "--sweep-seconds",
    envvar="DICHROISM_SWEEP_SECONDS",
    type=click.IntRange(1, 600),
    default=int(EVERY_S),
    show_default=True,
    help="Time between two LISTs of all Scans, which repair whatever the watch missed.",
)
@log_format_option
def command(
    config_file: Path,
    namespace: str | None,
    host: str,
    port: int,
    lease_seconds: int,
    sweep_seconds: int,
    log_format: str | None,
) -> None:
    """Run the operator: move, catalogue, archive and schedule every Scan of a namespace.

    Ends with 0 on SIGTERM, 1 when its Lease is lost or its watch dies, 3 when the configuration is wrong.
    """
    logs.configure(json_lines=(log_format or ("text" if sys.stderr.isatty() else "json")) == "json")
    config = loaded(config_file, log)
    if problems := check_runnable(config):
        refuse("\n".join(problems), log)
    gc.freeze()
    gc.set_threshold(*NEW_OBJECTS)
    asyncio.run(_run(config, namespace, host, port, lease_seconds, sweep_seconds))


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _run(config: Config, namespace: str | None, host: str, port: int, lease_s: int, sweep_s: int) -> None:
    stop = _stop_on_signals()
    health = Health()
    if port:
        await health.serve(host, port)
    code = EXIT_UNEXPECTED
    try:
        # Its connections are never closed: what is still under way would end in a traceback just before the process.
        api = await Api.connect(namespace)
        operator = Operator(config, api, health, lease_s=lease_s, sweep_s=sweep_s)
        await operator.run(stop)
        code = EXIT_UNEXPECTED if operator.failed else 0
    except LeaseLostError as error:
        log.error("%s; this process ends so that nothing is done twice", error)
    except ApiError as error:
        log.error("the Kubernetes API cannot be used: %s", error)
    except Exception:
        log.exception("unexpected end")
    logging.shutdown()
    # Threads may still copy or wait for a server. All they do can be cut at any instant, so nobody waits for them.
    os._exit(code)
