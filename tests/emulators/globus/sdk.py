"""The unmodified SDK against an emulator: a client with its token in memory, and waiting for the end of a task."""

import time
from typing import Any

import globus_sdk

from tests.emulators.globus.process import GlobusEmulator
from tests.emulators.globus.settings import Client


def client_app(emulator: GlobusEmulator, client: Client | None = None) -> globus_sdk.ClientApp:
    """The service account as an application."""
    account = client or emulator.client
    login = globus_sdk.ConfidentialAppAuthClient(account.client_id, account.client_secret, base_url=emulator.url)
    config = globus_sdk.GlobusAppConfig(token_storage="memory")
    return globus_sdk.ClientApp("dichroism-tests", login_client=login, config=config)


def transfer_client(emulator: GlobusEmulator, client: Client | None = None) -> globus_sdk.TransferClient:
    """A Transfer client, of the first service account unless another is given."""
    return globus_sdk.TransferClient(app=client_app(emulator, client), base_url=emulator.url)


def until(transfer: globus_sdk.TransferClient, task_id: str, *, timeout: float = 30.0, **fields: Any) -> dict[str, Any]:
    """Poll a task until it has ended, or until its fields have these values; returns its document.

    Raises:
        TimeoutError: it did not come to that; the text is the document.
    """
    deadline = time.monotonic() + timeout
    while True:
        task: dict[str, Any] = transfer.get_task(task_id).data
        if fields and all(task[name] == value for name, value in fields.items()):
            return task
        if not fields and task["status"] in ("SUCCEEDED", "FAILED"):
            return task
        if time.monotonic() > deadline:
            raise TimeoutError(str(task))
        time.sleep(0.02)
