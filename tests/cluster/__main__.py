"""Command line of the test cluster: ``python -m tests.cluster up|down|status|env|build [--state DIR]``."""

import argparse
import shlex
import sys
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.providers import DEFAULT_STATE, attach, down, prepare, up


def main() -> int:
    """Run one command; the exit code is 0 when it did what it says, for `status` when the cluster is up."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for command in (_up, _down, _status, _env, _build):
        described = commands.add_parser(command.__name__[1:], help=command.__doc__)
        described.add_argument("--state", type=Path, default=DEFAULT_STATE, help="folder of the cluster")
        described.set_defaults(command=command)
    arguments = parser.parse_args()
    try:
        code: int = arguments.command(arguments.state)
    except ClusterError as error:
        print(f"test cluster: {error}", file=sys.stderr)
        return 1
    return code


def _up(state: Path) -> int:
    """Start the cluster, which stays until `down`; CLUSTER chooses who provides it."""
    cluster = up(state)
    print(
        f"The cluster ({cluster.provider}) is up. To use it: export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}"
    )
    print('Or, with the matching kubectl on PATH: eval "$(python -m tests.cluster env)"')
    return 0


def _down(state: Path) -> int:
    """Stop the cluster and everything it started; its logs stay."""
    print("The cluster is down." if down(state) else f"No cluster in {state}.")
    return 0


def _status(state: Path) -> int:
    """Say which parts of the cluster are up."""
    cluster = attach(state)
    parts = cluster.report()
    for name, alive in {f"provider {cluster.provider}": all(parts.values()), **parts}.items():
        print(f"{name}: {'up' if alive else 'DOWN'}")
    print(f"kubeconfig: {cluster.kubeconfig}\nlogs: {cluster.state.logs}")
    return 0 if all(parts.values()) else 1


def _env(state: Path) -> int:
    """Print shell lines that make kubectl and helm use the cluster."""
    for name, value in attach(state).exports().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _build(state: Path) -> int:
    """Build what the provider that CLUSTER chooses needs, so that `up` is fast."""
    prepare()
    return 0


if __name__ == "__main__":
    sys.exit(main())
