"""Proofs of stored bundles, and of files at the site: asked of a job, read later, shared by all of our processes.

Each proof is one document below ``.dichroism/verify`` on the endpoint from which was archived, named after what it is
about. It is looked up before a job is asked for, and holds 24 hours. That a bundle was read back from tape is proven
once and holds for good, beside a fresh proof of its stored checksum.
"""

import hashlib
import json
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dichroism_crds.config import Endpoint
from dichroism_crds.timestamps import now
from dichroism_operator.movers import bundle
from dichroism_operator.movers.base import CopyState, CopyToVerify
from dichroism_operator.movers.sfapi import tapejob
from dichroism_operator.movers.sfapi.jobs import Errand, Jobs

HOLDS = timedelta(hours=24)
AHEAD = timedelta(minutes=5)
"""A proof from further in the future was made by a clock that is wrong."""
ASK_AGAIN_S = 600.0
"""A proof whose job ended without one is asked for again after this."""
KNOWN_S = 30.0
"""So long a document that was read is not read again."""
MISSED_S = 1.0
"""So long one that was not there, or is too old, is not looked for again: many copies of a bundle ask at once."""
STORED = "stored"
FULL = "full"
FILES = "files"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """One document: what was found, and when."""

    made_at: datetime
    document: Mapping[str, Any]

    @classmethod
    def parse(cls, content: bytes | None) -> "Proof | None":
        """From the file; None when it is none."""
        try:
            document = json.loads(content or b"")
            made_at = datetime.fromisoformat(str(document["at"]))
            return cls(made_at, document) if made_at.tzinfo and isinstance(document, dict) else None
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def holds(self) -> bool:
        """Whether it is young enough."""
        return -AHEAD <= now() - self.made_at < HOLDS

    @property
    def state(self) -> str:
        """Of a bundle as a whole."""
        return str(self.document.get("state"))

    def of_member(self, copy: CopyToVerify) -> CopyState:
        """What it says about one member."""
        if self.state != bundle.VERIFIED:
            return CopyState.MISSING if self.state == bundle.ABSENT else CopyState.DIFFERS
        members = self.document.get("members")
        found = members.get(copy.path) if isinstance(members, dict) else None
        if found is None:
            return CopyState.MISSING
        return CopyState.VERIFIED if found == [copy.size, copy.sha256] else CopyState.DIFFERS


class Verification:
    """Looks proofs up and has missing ones made."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._known: dict[str, tuple[float, Proof | None]] = {}
        self._asked: dict[str, float] = {}
        self._lock = threading.Lock()

    def of_bundles(
        self, tape: Endpoint, near: Endpoint, copies: Sequence[CopyToVerify]
    ) -> dict[CopyToVerify, CopyState]:
        """State of members on tape; copies without a bundle are UNKNOWN, there are none on tape.

        Raises:
            MoverUnavailable: the service is in trouble.
        """
        by_bundle: dict[str, list[CopyToVerify]] = defaultdict(list)
        for copy in copies:
            if copy.bundle:
                by_bundle[copy.bundle].append(copy)
        states = dict.fromkeys(copies, CopyState.UNKNOWN)
        missing: list[Mapping[str, Any]] = []
        for path, members in by_bundle.items():
            read_back = any(copy.read_back for copy in members)
            proof, wanted = self._of_bundle(tape, near, path, read_back=read_back)
            if wanted:
                missing.append({"digest": _digest(tape, path, wanted), "mode": wanted, "bundle": path})
            if proof:
                for copy in members:
                    if not (wanted == FULL and copy.read_back):
                        states[copy] = proof.of_member(copy)
        if missing:
            self._have_made(near, tape, missing)
        return states

    def _of_bundle(
        self, tape: Endpoint, near: Endpoint, path: str, *, read_back: bool
    ) -> tuple[Proof | None, str | None]:
        """The newest proof of a bundle that holds, and the mode of the one that has to be made."""
        full = self._proof(near, _digest(tape, path, FULL))
        stored = self._proof(near, _digest(tape, path, STORED))
        holding = [proof for proof in (full, stored) if proof and proof.holds]
        newest = max(holding, key=lambda proof: proof.made_at, default=None)
        if newest and newest.state != bundle.VERIFIED:
            return newest, None
        if read_back and (full is None or full.state != bundle.VERIFIED):
            return newest, FULL
        return newest, None if newest else STORED

    def of_files(self, near: Endpoint, copies: Sequence[CopyToVerify]) -> dict[CopyToVerify, CopyState]:
        """State of files on the site's own file system.

        Raises:
            MoverUnavailable: the service is in trouble.
        """
        files = sorted({(copy.path, copy.size, copy.sha256) for copy in copies if copy.bundle is None})
        states = dict.fromkeys(copies, CopyState.UNKNOWN)
        if not files:
            return states
        digest = hashlib.sha256(json.dumps([near.name, near.root_path, files]).encode()).hexdigest()[:40]
        proof = self._proof(near, digest)
        if proof is None or not proof.holds:
            self._have_made(near, near, [{"digest": digest, "mode": FILES, "files": files}])
            return states
        found = proof.document.get("states")
        for copy in copies:
            said = found.get(copy.path) if isinstance(found, dict) and copy.bundle is None else None
            states[copy] = CopyState(said) if said in set(CopyState) else CopyState.UNKNOWN
        return states

    def _proof(self, near: Endpoint, digest: str) -> Proof | None:
        with self._lock:
            then, proof = self._known.get(digest, (0.0, None))
        if then and time.monotonic() - then < (KNOWN_S if proof and proof.holds else MISSED_S):
            return proof
        path = f"{near.root_path}/{tapejob.VERIFIED_DOCUMENTS}/{digest}.json"
        proof = Proof.parse(self._jobs.site.read(path))
        with self._lock:
            self._known[digest] = (time.monotonic(), proof)
        return proof

    def _have_made(self, near: Endpoint, tape: Endpoint, units: Sequence[Mapping[str, Any]]) -> None:
        """One job for all that is missing, unless one is at it or was just asked for."""
        key = hashlib.sha256("\n".join(sorted(unit["digest"] for unit in units)).encode()).hexdigest()[:32]
        errand = Errand("verify", f"verify-{key}", f"dichroism_verify_{key}", near, tape, {"units": list(units)})
        with self._lock:
            if key in self._asked and time.monotonic() - self._asked[key] < ASK_AGAIN_S:
                return
            self._asked = {one: then for one, then in self._asked.items() if time.monotonic() - then < ASK_AGAIN_S}
            self._asked[key] = time.monotonic()
        try:
            trouble = self._jobs.trouble(errand)
            if trouble.kind:
                log.warning("the last proof that was asked for came to nothing: %s", trouble.message)
            self._jobs.begin(errand)
        except Exception:
            with self._lock:
                self._asked.pop(key, None)
            raise


def _digest(tape: Endpoint, path: str, mode: str) -> str:
    return hashlib.sha256(f"{tape.name}\0{tape.root_path}\0{path}\0{mode}".encode()).hexdigest()[:40]
