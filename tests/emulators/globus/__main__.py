"""Run the emulator: ``python -m tests.emulators.globus --state FILE --settings FILE [--port 0]``."""

import argparse
import asyncio
import os
import signal
from pathlib import Path

from aiohttp import web

from tests.emulators.globus.running import Scheduler
from tests.emulators.globus.server import Server
from tests.emulators.globus.settings import Settings
from tests.emulators.globus.site import Site
from tests.emulators.globus.store import Store

_HOST = "127.0.0.1"
_PORTS = "ports"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.globus", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="database file, made when it is not there")
    parser.add_argument("--settings", type=Path, required=True, help="JSON file with clients, collections and limits")
    parser.add_argument("--port", type=int, default=0, help="0: any free port at first, the same one later")
    parser.add_argument("--url-file", type=Path, help="where the URL is written once requests are served")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when whoever started it is gone")
    return parser.parse_args()


def _announce(url: str, url_file: Path | None) -> None:
    print(url, flush=True)
    if url_file:
        unfinished = url_file.with_name(f"{url_file.name}.{os.getpid()}")
        unfinished.write_text(url)
        unfinished.replace(url_file)


async def _listen(site: Site, scheduler: Scheduler, port: int) -> tuple[web.AppRunner, str]:
    """Serve the API and one HTTPS server for each collection; ports stay what they were when it starts again.

    The service itself is the collection with the empty id.
    """
    known: dict[str, int] = site.store.setting(_PORTS) or {}
    if port:
        known[""] = port
    collections: dict[int, str] = {}
    runner = web.AppRunner(
        Server(site, scheduler, collections).application(),
        access_log=None,
        shutdown_timeout=1,
        handler_cancellation=False,
    )
    await runner.setup()
    for collection_id in ["", *(collection.collection_id for collection in site.collections)]:
        await web.TCPSite(runner, _HOST, known.get(collection_id, 0)).start()
        known[collection_id] = runner.addresses[-1][1]
        if collection_id:
            collections[known[collection_id]] = collection_id
            site.urls[collection_id] = f"http://{_HOST}:{known[collection_id]}"
    site.store.put_setting(_PORTS, known)
    site.store.commit()
    return runner, f"http://{_HOST}:{known['']}/"


async def _run(arguments: argparse.Namespace) -> None:
    store = Store(arguments.state)
    site = Site(Settings.load(arguments.settings), store)
    scheduler = Scheduler(site)
    runner, url = await _listen(site, scheduler, arguments.port)
    scheduler.start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if arguments.until_stdin_closes:  # nothing is ever written to it: readable means closed
        asyncio.get_running_loop().add_reader(0, stopped.set)
    _announce(url, arguments.url_file)
    await stopped.wait()
    await runner.cleanup()
    await scheduler.stop()
    store.close()


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))
