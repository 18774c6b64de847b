"""Run the emulator: ``python -m tests.emulators.sfapi --state FOLDER --port PORT``."""

import argparse
import asyncio
import signal
from pathlib import Path

from aiohttp import web

from tests.emulators.sfapi.server import Server


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.sfapi", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--port", type=int, default=0, help="0: any free port at first, the same one later")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when whoever started it is gone")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    known = arguments.state / "port"
    port = arguments.port or (int(known.read_text()) if known.exists() else 0)
    runner = web.AppRunner(Server(arguments.state).application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    known.write_text(str(runner.addresses[0][1]))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if arguments.until_stdin_closes:  # nothing is ever written to it: readable means closed
        asyncio.get_running_loop().add_reader(0, stopped.set)
    url_file = arguments.state / "url"
    unfinished = url_file.with_suffix(".new")
    unfinished.write_text(f"http://127.0.0.1:{known.read_text()}")
    unfinished.replace(url_file)
    await stopped.wait()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))
