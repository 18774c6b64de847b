"""Carries TCP connections from one network namespace into another: ``python -m tests.cluster.gate``.

A node has a network of its own, without a way out. Through one gate this machine reaches its API server; through
others its pods reach what this machine serves, such as the emulators. Bytes go through unchanged, TLS included.
"""

import argparse
import asyncio
import contextlib
import ctypes
import os
import socket


def main() -> None:
    """Listen in one namespace, connect in the other, until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.gate", description=__doc__)
    parser.add_argument("listen", help="ADDRESS:PORT")
    parser.add_argument("connect", help="ADDRESS:PORT")
    parser.add_argument("--listen-in", default="self", help="process in whose network it listens")
    parser.add_argument("--connect-in", default="self", help="process in whose network it connects")
    arguments = parser.parse_args()
    # Both are opened before the first is entered: afterwards `self` means another one.
    networks = [os.open(f"/proc/{pid}/ns/net", os.O_RDONLY) for pid in (arguments.listen_in, arguments.connect_in)]
    _enter(networks[0])
    with socket.create_server(_address(arguments.listen)) as listening:
        _enter(networks[1])
        asyncio.run(_serve(listening, _address(arguments.connect)))


async def _serve(listening: socket.socket, target: tuple[str, int]) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            far_reader, far_writer = await asyncio.open_connection(*target)
            with contextlib.closing(far_writer):
                await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))

    async with await asyncio.start_server(carry, sock=listening) as server:
        await server.serve_forever()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on all bytes, then the end. An error ends both directions: nobody would read the rest."""
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.write_eof()


def _enter(network: int) -> None:
    """Have this thread, and the sockets it makes from now on, in another network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns is there from Python 3.12 on
    if libc.setns(network, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot enter a network namespace: {os.strerror(number)}")


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


if __name__ == "__main__":
    main()
