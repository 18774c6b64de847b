"""``dichroism watcher kubeconfig``: the credentials of a watcher outside the cluster, made by its administrator.

The chart makes a service account that may do what the watcher needs. Here a token is asked for it and put into a
kubeconfig of its own, and the API is asked what its bearer may do. The token has an end; the same command renews it.
"""

import asyncio
import base64
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click
import yaml
from kubernetes.aio.client import ApiClient, Configuration

from dichroism_crds.client import Api, ApiError, Denied, Invalid, NotFound
from dichroism_crds.config.quantities import parse_duration
from dichroism_crds.names import GROUP
from dichroism_crds.timestamps import now

ACCOUNT = "dichroism-watcher"
"""The chart's name of the account in a release that is called dichroism."""
DURATION = "90d"
NEEDED = (
    *((GROUP, "scans", verb) for verb in ("get", "list", "watch", "create", "patch")),
    ("coordination.k8s.io", "leases", "create"),
)
"""What a watcher does: API group, resource and verb."""
NEEDLESS = (
    (GROUP, "scans", "delete"),
    (GROUP, "scans/status", "update"),
    (GROUP, "prunes", "create"),
    ("", "secrets", "get"),
    ("", "pods", "create"),
    ("", "serviceaccounts/token", "create"),
)
"""What the bearer of these credentials should not be able to do; some of what would hurt most."""

Call = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Made:
    """A kubeconfig and what is known of it."""

    text: str
    ends: datetime
    missing: list[Call]
    excess: list[Call]


async def make(api: Api, account: str, duration: timedelta, server: str | None = None) -> Made:
    """A kubeconfig for the account in the namespace of ``api``, which is an administrator's.

    Args:
        api: may create tokens of the account.
        account: name of the service account.
        duration: how long the token is asked to be valid; the API server may give it less.
        server: address of the API server as the watcher's host reaches it, that of ``api`` when None.

    Raises:
        ApiError: the API refused or did not answer.
        click.ClickException: the administrator's own way to the API server does not prove who it is.
    """
    own = api.client.configuration
    if not own.verify_ssl or not own.host.startswith("https://"):
        raise click.ClickException(
            "your own kubeconfig does not verify the API server, so the watcher would give its token to anybody: "
            "set certificate-authority in it"
        )
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
    request["spec"] = {"expirationSeconds": int(duration.total_seconds())}
    path = f"{api.builtin_path('v1', 'serviceaccounts', account)}/token"
    status = (await api.request("POST", path, body=request))["status"]
    token = str(status["token"])
    missing, excess = await _rights(own, token, api.namespace)
    text = _document(own, server or own.host, token, api.namespace)
    return Made(text, datetime.fromisoformat(status["expirationTimestamp"]), missing, excess)


async def _rights(own: Configuration, token: str, namespace: str) -> tuple[list[Call], list[Call]]:
    """What the bearer of the token lacks, and what it may do needlessly."""
    theirs = Configuration(host=own.host)
    theirs.ssl_ca_cert, theirs.tls_server_name, theirs.proxy = own.ssl_ca_cert, own.tls_server_name, own.proxy
    theirs.api_key = {"BearerToken": f"Bearer {token}"}
    async with Api(ApiClient(theirs), namespace) as api:
        missing = [call for call in NEEDED if not await _may(api, call)]
        return missing, [call for call in NEEDLESS if await _may(api, call)]


async def _may(api: Api, call: Call) -> bool:
    group, whole, verb = call
    resource, _, subresource = whole.partition("/")
    attributes = {"namespace": api.namespace, "group": group, "resource": resource, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes | {"subresource": subresource}},
    }
    answer = await api.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
    return bool(answer["status"].get("allowed"))


def _document(own: Configuration, server: str, token: str, namespace: str) -> str:
    cluster: dict[str, Any] = {"server": server}
    if own.ssl_ca_cert:
        cluster["certificate-authority-data"] = base64.b64encode(Path(own.ssl_ca_cert).read_bytes()).decode()
    if own.tls_server_name:
        cluster["tls-server-name"] = own.tls_server_name
    name = "dichroism-watcher"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
        "current-context": name,
    }
    return yaml.safe_dump(document, sort_keys=False)


def write_private(file: Path, text: str) -> None:
    """Put the text there in one step, readable for its owner alone; a file that was there is replaced."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as writing:
        writing.write(text)
        writing.flush()
        os.fsync(writing.fileno())
    unfinished.replace(file)


def _duration(_context: click.Context, _parameter: click.Parameter, value: str) -> timedelta:
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _shown(calls: list[Call]) -> str:
    return ", ".join(f"{verb} {resource}" for _, resource, verb in calls)


@click.command(name="kubeconfig")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--namespace",
    envvar="DICHROISM_NAMESPACE",
    help="Namespace of the chart's release and of the Scans. Default: that of your kubeconfig.",
)
@click.option("--account", default=ACCOUNT, show_default=True, help="The watcher's service account.")
@click.option(
    "--duration",
    default=DURATION,
    show_default=True,
    callback=_duration,
    help="How long the token is to be valid. The cluster may allow less.",
)
@click.option("--server", help="Address of the API server as the watcher's host reaches it. Default: yours.")
def command(file: Path, namespace: str | None, account: str, duration: timedelta, server: str | None) -> None:
    """Make FILE, the kubeconfig of a watcher outside the cluster; also to renew it.

    Run it where you administer the namespace; it uses your own kubeconfig. Then bring FILE to the watcher's host.
    """
    try:
        made = asyncio.run(_make(namespace, account, duration, server))
    except NotFound as error:
        raise click.ClickException(
            f"{error.message}: the chart makes this account, in the namespace of its release; name another with "
            "--account and --namespace"
        ) from error
    except Denied as error:
        raise click.ClickException(f"{error.message}; you need the right to create serviceaccounts/token") from error
    except Invalid as error:
        raise click.ClickException(f"the API server refuses to give such a token: {error.message}") from error
    except ApiError as error:
        raise click.ClickException(f"the API server did not give a token: {error.message}") from error
    write_private(file, made.text)
    click.echo(f"{file} is the watcher's kubeconfig until {made.ends:%Y-%m-%d %H:%M} UTC; renew it before.", err=True)
    if made.ends - now() < duration * 0.9:
        click.echo("That is sooner than asked for: this cluster gives no longer tokens.", err=True)
    if made.excess:
        click.echo(f"It may do more than a watcher needs, look at its Roles: {_shown(made.excess)}.", err=True)
    if made.missing:
        raise click.ClickException(f"it lacks rights that the watcher needs: {_shown(made.missing)}; upgrade the chart")


async def _make(namespace: str | None, account: str, duration: timedelta, server: str | None) -> Made:
    async with await Api.connect(namespace) as api:
        return await make(api, account, duration, server)
