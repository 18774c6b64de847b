"""Run the emulator: ``python -m tests.emulators.scicat --state FILE --site FILE [--port 0] [--backend 5.2]``."""

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.emulators.scicat.documents import upgraded
from tests.emulators.scicat.server import Server
from tests.emulators.scicat.settings import BACKENDS, Settings
from tests.emulators.scicat.site import Site
from tests.emulators.scicat.store import Store

_HOST = "127.0.0.1"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.scicat", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="database file, made when it is not there")
    parser.add_argument("--site", type=Path, required=True, help="JSON file with accounts and groups")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--backend", choices=BACKENDS, help="overrides the site file")
    parser.add_argument("--token-ttl", type=float, help="seconds, overrides the site file")
    parser.add_argument("--url-file", type=Path, help="where the URL is written once requests are served")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when whoever started it is gone")
    return parser.parse_args()


def _announce(url: str, url_file: Path | None) -> None:
    print(url, flush=True)
    if url_file:
        unfinished = url_file.with_name(f"{url_file.name}.{os.getpid()}")
        unfinished.write_text(url)
        unfinished.replace(url_file)


async def _run(arguments: argparse.Namespace) -> None:
    given: dict[str, Any] = {"backend": arguments.backend, "token_ttl": arguments.token_ttl}
    settings = Settings.load(arguments.site, **{key: value for key, value in given.items() if value is not None})
    store = Store(arguments.state)
    if settings.is_v5:
        for dataset in [*store.datasets()]:
            store.put_dataset(upgraded(dataset))
    runner = web.AppRunner(Server(Site(settings, store)).application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    server = web.TCPSite(runner, _HOST, arguments.port)
    await server.start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if arguments.until_stdin_closes:  # nothing is ever written to it: readable means closed
        asyncio.get_running_loop().add_reader(0, stopped.set)
    port = runner.addresses[0][1]
    _announce(f"http://{_HOST}:{port}/api/v3", arguments.url_file)
    await stopped.wait()
    await runner.cleanup()
    store.close()


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))
