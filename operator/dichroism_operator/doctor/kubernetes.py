"""Kubernetes: whether the API answers, serves our kinds, and what the objects in it say about the work."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any

from dichroism_crds.client import Api, ApiError, Denied, NotFound
from dichroism_crds.config import Beamline, Config
from dichroism_crds.config.quantities import format_duration
from dichroism_crds.kinds import Metadata, Prune, PrunePhase, Scan, ScanPhase
from dichroism_crds.names import LABEL_BEAMLINE, LABEL_ENDPOINT, OPERATOR_LEASE, STOP_PRUNE_CONFIGMAP
from dichroism_crds.timestamps import now
from dichroism_operator import pauses, served, wording
from dichroism_operator.doctor.check import (
    Check,
    Finding,
    Findings,
    NotCheckedHereError,
    Severity,
    not_checked,
    ok,
    problem,
    warning,
)
from dichroism_operator.doctor.cluster import nothing_points_to_a_cluster
from dichroism_operator.doctor.place import Place
from dichroism_operator.lease import GROUP_VERSION
from dichroism_operator.lifecycle import last_phase
from dichroism_operator.pauses import Pause

CLOCK_SLACK = timedelta(seconds=30)
"""Two clocks that differ by less are taken for equal."""
LATE_AFTER = timedelta(hours=24)
"""A Scan is late when it is unfinished for this long beyond what bundle and calendar wait on purpose."""
SHOWN = 5
_AS_OPERATOR = "Ask as an account that may: kubectl exec deployment/dichroism-operator -- dichroism doctor"


def checks(place: Place) -> list[Check]:
    """Everything that is asked of the API server but for the permissions."""
    found = [
        Check("kubernetes/api", "the API server answers and knows who we are", partial(_api, place)),
        Check("kubernetes/crds", "the kinds that are served hold every field of this version", asking(place, _crds)),
    ]
    if place.config is None:
        return found
    return [
        *found,
        Check("kubernetes/lease", "an operator is at work", asking(place, _lease)),
        Check("kubernetes/lanes", "no work of a beamline waits for something broken", asking(place, _lanes)),
        Check(
            "kubernetes/cronjobs",
            "a CronJob prunes each endpoint, and its last run ended well",
            asking(place, _cronjobs),
        ),
        Check("kubernetes/stop", "nobody stopped pruning", asking(place, _stop_switch)),
        Check("kubernetes/scans", "no Scan failed, was refused or is late", asking(place, _scans)),
        Check("kubernetes/prunes", "no prune run kept a file that was due", asking(place, _prunes)),
    ]


def asking(place: Place, look: Callable[[Place, Api], Awaitable[Findings]]) -> Callable[[], Awaitable[Findings]]:
    """The look with the API at hand; what the account may not read can't be checked from here."""

    async def run() -> Findings:
        api = await place.cluster.api()
        try:
            return await look(place, api)
        except Denied as error:
            _, identity = await place.cluster.connected()
            raise NotCheckedHereError(f"{identity.username} may not read it", _AS_OPERATOR) from error
        except ApiError as error:
            return [_no_answer(error)]

    return run


def _no_answer(error: ApiError) -> Finding:
    return problem(
        f"the Kubernetes API answers with trouble: {error}", "Look after the API server; then run this again"
    )


# the API server


async def _api(place: Place) -> Findings:
    try:
        api, identity = await place.cluster.connected()
    except Denied as error:
        if nothing_points_to_a_cluster(error):
            return [not_checked(str(error), "Set KUBECONFIG here, or run this in the operator's pod")]
        remedy = "Renew the token or the kubeconfig; for a service account: kubectl create token ACCOUNT"
        return [problem(f"no way into the Kubernetes API: {error}", remedy)]
    except ApiError as error:
        remedy = "Look whether kubectl gets an answer from here; look at KUBECONFIG, network and the API server"
        return [problem(f"the Kubernetes API does not answer: {error}", remedy)]
    return [ok(f"{api.client.configuration.host}, namespace {api.namespace}, as {identity.username}")]


async def _crds(_place: Place, api: Api) -> Findings:
    if trouble := await served.too_old(api):
        remedy = "As a cluster administrator: dichroism crds | kubectl apply --server-side -f -"
        return [problem(f"operator and prune jobs do nothing: {trouble}", remedy)]
    return [ok("the kinds that are served hold every field of this version")]


# the operator's Lease


async def _lease(_place: Place, api: Api) -> Findings:
    lease = await operator_lease(api)
    return [judge_lease(lease.get("spec", {}) if lease else None, now())]


async def _lanes(place: Place, api: Api) -> Findings:
    lease = await operator_lease(api)
    if lease is None or judge_lease(lease.get("spec", {}), now()).severity == Severity.PROBLEM:
        return [not_checked("no operator is at work that could tell", "See kubernetes/lease")]
    names = {beamline.name for beamline in place.beamlines}
    paused = [pause for pause in pauses.of_lease(lease) if pause.beamline in names]
    return judge_pauses(paused) or [ok("no lane is paused")]


async def operator_lease(api: Api) -> dict[str, Any] | None:
    """The operator's Lease; None when there is none.

    Raises:
        ApiError: it can't be read.
    """
    try:
        return await api.request("GET", api.builtin_path(GROUP_VERSION, "leases", OPERATOR_LEASE))
    except NotFound:
        return None


def judge_lease(spec: dict[str, Any] | None, moment: datetime) -> Finding:
    """Whether an operator is at work, from the Lease's ``spec``; None when there is no Lease."""
    remedy = "See whether its pod runs, and its log: kubectl get pods; kubectl logs deployment/dichroism-operator"
    holder = (spec or {}).get("holderIdentity")
    if spec is None or not holder:
        was = "was never held" if spec is None else "is free"
        return problem(f"no operator is at work: Lease {OPERATOR_LEASE} {was}, so nothing is moved", remedy)
    renewed = parse_time(spec.get("renewTime"))
    if renewed is None:
        return problem(f"Lease {OPERATOR_LEASE} of {holder} has no renewTime: somebody edited it", remedy)
    age = moment - renewed
    allowed = timedelta(seconds=float(spec.get("leaseDurationSeconds") or 0)) + CLOCK_SLACK
    if age > allowed:
        return problem(f"the operator {holder} was last heard of {ago(age)} ago, so nothing is moved", remedy)
    if age < -CLOCK_SLACK:
        text = f"the operator {holder} renewed its Lease {ago(-age)} in the future: two clocks differ"
        return warning(text, "Set the clock of this machine or of the operator's node (NTP)")
    return ok(f"{holder} works, last heard of {ago(max(age, timedelta()))} ago")


def judge_pauses(paused: Sequence[Pause]) -> list[Finding]:
    """One finding for each lane that waits."""
    return [problem(f"{one.beamline}: {one.text}", one.remedy) for one in paused]


# CronJobs


@dataclass(frozen=True, slots=True)
class CronJob:
    """What matters of a CronJob that prunes an endpoint."""

    name: str
    suspended: bool
    last_started: datetime | None
    last_succeeded: datetime | None
    running: bool

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "CronJob":
        """From the object as the API serves it."""
        status = item.get("status") or {}
        return cls(
            item["metadata"]["name"],
            bool(item["spec"].get("suspend")),
            parse_time(status.get("lastScheduleTime")),
            parse_time(status.get("lastSuccessfulTime")),
            bool(status.get("active")),
        )


async def _cronjobs(place: Place, api: Api) -> Findings:
    return judge_cronjobs(place.pruned, await prune_cronjobs(api))


async def prune_cronjobs(api: Api) -> dict[str, CronJob]:
    """The CronJobs that prune, by endpoint.

    Raises:
        ApiError: they can't be read.
    """
    pages = api.list_pages(api.builtin_path("batch/v1", "cronjobs"), label_selector=LABEL_ENDPOINT)
    return {item["metadata"]["labels"][LABEL_ENDPOINT]: CronJob.parse(item) async for item in pages}


def judge_cronjobs(pruned: tuple[str, ...], found: dict[str, CronJob]) -> list[Finding]:
    """One finding for each endpoint that the configuration prunes."""
    if not pruned:
        return [ok("the configuration prunes nothing, so no CronJob is needed")]
    return [_judge_cronjob(endpoint, found.get(endpoint)) for endpoint in pruned]


def _judge_cronjob(endpoint: str, job: CronJob | None) -> Finding:
    if job is None:
        text = f"{endpoint}: no CronJob has the label {LABEL_ENDPOINT}={endpoint}, so it is never pruned"
        return problem(f"{text} and its Scans wait (CronJobMissing)", "Upgrade the chart with the config.yml in use")
    if job.suspended:
        text = f"{endpoint}: CronJob {job.name} is suspended, so it is not pruned and its Scans wait (CronJobSuspended)"
        patch = '{"spec":{"suspend":false}}'
        return problem(text, f"If that is not meant: kubectl patch cronjob {job.name} -p '{patch}'")
    if job.last_started is None:
        return ok(f"{endpoint}: CronJob {job.name} is there and did not have to run yet")
    if not job.running and (job.last_succeeded is None or job.last_succeeded < job.last_started):
        text = (
            f"{endpoint}: the last run of CronJob {job.name} ({job.last_started:%Y-%m-%d %H:%M} UTC) did not end well"
        )
        look = f"kubectl get jobs -l {LABEL_ENDPOINT}={endpoint}; kubectl logs job/NAME"
        return problem(text, f"Read its log ({look}); the next run goes on from what is in the trash")
    state = "runs now" if job.running else "ended well"
    return ok(f"{endpoint}: CronJob {job.name}, last run {job.last_started:%Y-%m-%d %H:%M} UTC, {state}")


# the stop switch


async def _stop_switch(_place: Place, api: Api) -> Findings:
    return await stop_switch(api)


async def stop_switch(api: Api) -> Findings:
    """Whether somebody stopped pruning.

    Raises:
        ApiError: it can't be read.
    """
    try:
        found = await api.request("GET", api.builtin_path("v1", "configmaps", STOP_PRUNE_CONFIGMAP))
    except NotFound:
        return [ok("pruning is not stopped")]
    data = found.get("data") or {}
    said = ", ".join(f"{key} {data[key]}" for key in ("reason", "by", "at") if data.get(key))
    text = f"pruning is stopped: ConfigMap {STOP_PRUNE_CONFIGMAP} is there" + (f" ({said})" if said else "")
    return [warning(text, "If the reason is gone: dichroism prune resume")]


# Scans


@dataclass(frozen=True, slots=True)
class ScanCounts:
    """Scans of one beamline: how many went wrong, and the oldest one that is not done."""

    beamline: str
    failed: int
    refused: int
    unfinished: int
    oldest: Metadata | None = None


async def _scans(place: Place, api: Api) -> Findings:
    assert place.config is not None
    findings: list[Finding] = []
    for beamline in place.beamlines:
        counts = await count_scans(api, beamline)
        findings += judge_scans(counts, expected_duration(place.config, beamline), now())
    return findings


async def count_scans(api: Api, beamline: Beamline) -> ScanCounts:
    """Scans of a beamline that are not done.

    Raises:
        ApiError: they can't be read.
    """
    counts: Counter[ScanPhase] = Counter()
    oldest: Metadata | None = None
    for phase in ScanPhase:
        if phase == last_phase(beamline):
            continue  # done, and there are thousands
        selector = f"status.phase={phase},spec.beamline={beamline.name}"
        async for metadata in api.list_metadata(Scan, field_selector=selector):
            counts[phase] += 1
            if phase in (ScanPhase.FAILED, ScanPhase.REFUSED) or metadata.creation_timestamp is None:
                continue
            if oldest is None or metadata.creation_timestamp < (oldest.creation_timestamp or now()):
                oldest = metadata
    failed, refused = counts[ScanPhase.FAILED], counts[ScanPhase.REFUSED]
    return ScanCounts(beamline.name, failed, refused, counts.total() - failed - refused, oldest)


def expected_duration(config: Config, beamline: Beamline) -> timedelta:
    """How long a Scan may be unfinished without anything being wrong."""
    bundle = beamline.archive.bundle.max_age if beamline.archive else timedelta()
    return bundle + (config.schedule.flush if beamline.prune else timedelta()) + LATE_AFTER


def judge_scans(counts: ScanCounts, expected: timedelta, moment: datetime) -> list[Finding]:
    """What the numbers mean. Failed Scans are a problem: their files have no way on without a person."""
    findings: list[Finding] = []
    select = f"kubectl get scans --field-selector spec.beamline={counts.beamline},status.phase="
    if counts.failed:
        text = f"{counts.beamline}: {_scans_are(counts.failed)} Failed: no step goes on without a person"
        findings.append(problem(text, f"{select}Failed; dichroism why NAME says why and what to do"))
    if counts.refused:
        text = f"{counts.beamline}: {_scans_are(counts.refused)} Refused: nothing of them is moved"
        findings.append(warning(text, f"{select}Refused; the message of each says what is wrong with it"))
    if counts.oldest and counts.oldest.creation_timestamp:
        age = moment - counts.oldest.creation_timestamp
        text = f"{counts.beamline}: {counts.unfinished} unfinished, the oldest ({counts.oldest.name}) for {ago(age)}"
        if age > expected:
            text += f"; {format_duration(expected)} would be explained by the waits of the configuration"
            findings.append(warning(text, f"dichroism why {counts.oldest.name}"))
        else:
            findings.append(ok(text))
    return findings or [ok(f"{counts.beamline}: no Scan is failed, refused or unfinished")]


def _scans_are(count: int) -> str:
    return "1 Scan is" if count == 1 else f"{count} Scans are"


# Prunes


async def _prunes(place: Place, api: Api) -> Findings:
    findings: list[Finding] = []
    for beamline in place.beamlines:
        findings += judge_prunes(beamline.name, await incomplete_prunes(api, beamline.name))
    return findings


async def incomplete_prunes(api: Api, beamline: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and statuses of a beamline's Prunes that kept due files for a reason that may pass.

    Raises:
        ApiError: they can't be read.
    """
    listed = api.list_pages(
        api.path(Prune),
        field_selector=f"status.phase={PrunePhase.INCOMPLETE}",
        label_selector=f"{LABEL_BEAMLINE}={beamline}",
        limit=20,  # each may be a megabyte
    )
    return [(item["metadata"]["name"], item.get("status") or {}) async for item in listed]


def judge_prunes(beamline: str, incomplete: list[tuple[str, dict[str, Any]]]) -> list[Finding]:
    """Prunes that kept due files for a reason that may pass, from their names and statuses."""
    if not incomplete:
        return [ok(f"{beamline}: no Prune is Incomplete")]
    findings = []
    for name, status in islice(incomplete, SHOWN):
        reasons = Counter(str(kept.get("reason")) for kept in status.get("kept") or ())
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
        kept = wording.files(int(status.get("keptCount") or 0))
        text = f"{name} is Incomplete: {kept} kept although due ({why or status.get('message', '')})"
        remedy = f"Nothing is lost. The runbook says what each reason asks for; kubectl describe prune {name}"
        findings.append(warning(text, remedy))
    if len(incomplete) > SHOWN:
        more = f"{beamline}: {len(incomplete) - SHOWN} more Prunes are Incomplete"
        findings.append(warning(more, "kubectl get prunes --field-selector status.phase=Incomplete"))
    return findings


def parse_time(text: Any) -> datetime | None:
    """A time of a built-in object; None where there is none."""
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def ago(age: timedelta) -> str:
    """``14 s``, ``3 h``, ``12 days``: as exact as a person needs it."""
    seconds = int(age.total_seconds())
    for unit, length, least in (("days", 86400, 2 * 86400), ("h", 3600, 2 * 3600), ("min", 60, 120)):
        if seconds >= least:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
