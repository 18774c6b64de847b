"""One battle as a program; it ends with 1 on violations.

Usage: python -m tests.fault.adversary traps|rivals NAMESPACE FOLDER SEED FILES

The mutation check runs it with a changed copy of our code before the real one on PYTHONPATH.
"""

import asyncio
import os
import sys
from pathlib import Path

from dichroism_crds.client import Api
from tests.fault.adversary.battle import Battle
from tests.fault.adversary.rivals import Rivals
from tests.integration.prune.site import Site

VIOLATED = 1


class _Here:
    """The cluster of this process's KUBECONFIG."""

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        return dict(os.environ) | ({"KUBECONFIG": str(kubeconfig)} if kubeconfig else {})


async def main(kind: str, namespace: str, folder: Path, seed: int, files: int) -> int:
    """Fight and tell."""
    async with await Api.connect(namespace) as api:
        site = Site(folder, _Here(), api)
        battle = Rivals(site, files) if kind == "rivals" else Battle(site, seed, files, here=True)
        await battle.fight()
    for violation in battle.violations[:20]:
        print(violation)
    print(f"{len(battle.violations)} violations; {dict(battle.outcomes)}")
    return VIOLATED if battle.violations else 0


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(asyncio.run(main(given[0], given[1], Path(given[2]), int(given[3]), int(given[4]))))
