"""Run the proxy: ``python -m tests.emulators.apiproxy --kubeconfig FILE --folder FOLDER [--seed N]``."""

import argparse
import asyncio
import json
import os
import ssl
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.emulators.apiproxy.faults import FaultPlan
from tests.emulators.apiproxy.server import Proxy
from tests.emulators.apiproxy.upstream import HOST, Upstream, own_certificate

PORTS = "ports.json"
KUBECONFIG = "kubeconfig"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.apiproxy", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="the way to the real server, and who asks")
    parser.add_argument("--folder", type=Path, required=True, help="for certificate, kubeconfig and ports")
    parser.add_argument("--seed", type=int, default=0, help="of the weather")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    folder: Path = arguments.folder
    upstream = Upstream.load(arguments.kubeconfig)
    certificate, key = own_certificate(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    connector = aiohttp.TCPConnector(ssl=upstream.tls(folder), limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        proxy = Proxy(upstream.server, session, FaultPlan(arguments.seed), tls)
        await proxy.open()
        control = web.AppRunner(proxy.control(), access_log=None, shutdown_timeout=0.1)
        await control.setup()
        await web.TCPSite(control, HOST, 0).start()
        kubeconfig = folder / KUBECONFIG
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(upstream.kubeconfig(proxy.port, certificate))
        unfinished = folder / f"{PORTS}.{os.getpid()}"
        unfinished.write_text(json.dumps({"clients": proxy.port, "control": control.addresses[0][1]}))
        unfinished.replace(folder / PORTS)
        closed = asyncio.Event()
        asyncio.get_running_loop().add_reader(0, closed.set)  # nothing is ever written to it: readable means closed
        await closed.wait()
        await proxy.close()
        await control.cleanup()


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))
