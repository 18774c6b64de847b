"""Every metric of the operator and the prune job. No label carries an object's name: nothing grows with the data."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

STEPS_DONE = Counter(
    "dichroism_steps_total",
    "Steps that ended: done, failed by a fault of the file, or to be done again after another's",
    ["beamline", "step", "result"],
    registry=REGISTRY,
)
WAITING = Gauge("dichroism_waiting_scans", "Scans that wait for a step", ["beamline", "step"], registry=REGISTRY)
SCANS = Gauge(
    "dichroism_scans",
    "Scans in the cluster; beamline is 'unknown' where none is configured",
    ["beamline", "phase"],
    registry=REGISTRY,
)
TRANSFERS_RUNNING = Gauge("dichroism_transfers_running", "Unfinished Transfers", ["lane"], registry=REGISTRY)
BUNDLE_FILES = Gauge(
    "dichroism_bundle_waiting_files", "Files that wait for a tape bundle to close", ["beamline"], registry=REGISTRY
)
BUNDLE_BYTES = Gauge(
    "dichroism_bundle_waiting_bytes", "Bytes of the files that wait for a tape bundle", ["beamline"], registry=REGISTRY
)
BUNDLE_AGE = Gauge(
    "dichroism_bundle_oldest_seconds",
    "How long the oldest of these files has waited, 0 when none waits",
    ["beamline"],
    registry=REGISTRY,
)
BYTES_COPIED = Counter("dichroism_copied_bytes_total", "Bytes of verified copies made", ["lane"], registry=REGISTRY)
PICTURES = Counter("dichroism_pictures_total", "Quick-look plots that were settled", ["result"], registry=REGISTRY)
LANE_PAUSED = Gauge("dichroism_lane_paused", "1 while a lane is paused", ["lane", "reason"], registry=REGISTRY)
LANE_TURN = Gauge(
    "dichroism_lane_last_turn_timestamp_seconds", "When a lane last made a turn", ["lane"], registry=REGISTRY
)
LANE_ERRORS = Counter(
    "dichroism_lane_errors_total", "Turns of a lane that ended in an unexpected error", ["lane"], registry=REGISTRY
)
STATUS_WRITES = Counter("dichroism_status_writes_total", "Status writes of Scans", ["result"], registry=REGISTRY)
API_REQUESTS = Counter(
    "dichroism_api_requests_total", "Kubernetes API requests", ["method", "status"], registry=REGISTRY
)
SWEEP_SECONDS = Histogram("dichroism_sweep_seconds", "Duration of the LIST sweep", registry=REGISTRY)
WATCH_STALE = Gauge(
    "dichroism_watch_stale_scans", "Scans that LIST shows changed and the watch never told", registry=REGISTRY
)
UNREADABLE = Gauge("dichroism_unreadable_objects", "Objects that this version cannot read", ["kind"], registry=REGISTRY)
PRUNES = Gauge("dichroism_prunes", "Prunes on the calendar", ["endpoint", "phase"], registry=REGISTRY)
PRUNES_OVERDUE = Gauge(
    "dichroism_prunes_overdue",
    "Prunes that no run has touched although their day came more than a day ago",
    ["endpoint"],
    registry=REGISTRY,
)
PRUNE_KEPT = Gauge(
    "dichroism_prune_kept_files",
    "Due files that stay, by open reason; what a Prune has no room to name counts for its most frequent one",
    ["endpoint", "reason"],
    registry=REGISTRY,
)
PRUNES_UNTOLD = Gauge(
    "dichroism_prunes_untold",
    "Prunes of which the catalogue does not know yet what was removed or put back",
    ["endpoint"],
    registry=REGISTRY,
)
PRUNE_TRASHED = Gauge("dichroism_prune_trashed_files", "Files in the trash", ["endpoint"], registry=REGISTRY)
PRUNE_FREED = Gauge(
    "dichroism_prune_freed_bytes", "Bytes freed by the Prunes that are still there", ["endpoint"], registry=REGISTRY
)
EVENTS_DROPPED = Counter(
    "dichroism_events_dropped_total", "Kubernetes Events that could not be posted", registry=REGISTRY
)
LEADER = Gauge("dichroism_leader", "1 while this process holds the Lease", registry=REGISTRY)
WATCHER_AGE = Gauge(
    "dichroism_watcher_heartbeat_age_seconds",
    "Time since a watcher was last heard to complete a pass over the folder, or since our start",
    ["beamline"],
    registry=REGISTRY,
)
WATCHER_SILENT = Gauge(
    "dichroism_watcher_silent",
    "1 while no pass was completed within the time that the watcher gave, 10 minutes before it gave one",
    ["beamline"],
    registry=REGISTRY,
)
WATCHER_TROUBLE = Gauge(
    "dichroism_watcher_trouble",
    "1 while a watcher tells of trouble: its folder, its journal, its way to the API, its token",
    ["beamline"],
    registry=REGISTRY,
)
WATCHER_FILES = Gauge(
    "dichroism_watcher_files",
    "Files that a watcher reports: pending, quarantined, unreadable",
    ["beamline", "state"],
    registry=REGISTRY,
)
FLIGHT_AGE = Gauge(
    "dichroism_flight_check_age_seconds",
    "Time since the last flight check of a beamline ended, or since our start",
    ["beamline"],
    registry=REGISTRY,
)
FLIGHT_FAILED = Gauge(
    "dichroism_flight_check_failed",
    "1 while the last flight check did not get through",
    ["beamline"],
    registry=REGISTRY,
)
FLIGHT_LEG_FAILED = Gauge(
    "dichroism_flight_check_leg_failed",
    "1 for each hop, or catalogue, at which the last flight check failed",
    ["beamline", "leg", "reason"],
    registry=REGISTRY,
)
FLIGHT_SECONDS = Gauge(
    "dichroism_flight_check_leg_seconds", "What the last flight check took", ["beamline", "leg"], registry=REGISTRY
)
AUDIT_AGE = Gauge(
    "dichroism_audit_age_seconds",
    "Time since the last audit of a beamline ended, or since our start",
    ["beamline"],
    registry=REGISTRY,
)
AUDIT_FINDINGS = Gauge(
    "dichroism_audit_findings",
    "What the last audit found: files or bundles that are not where they should be",
    ["beamline", "kind"],
    registry=REGISTRY,
)
AUDIT_NOT_LOOKED_AT = Gauge(
    "dichroism_audit_not_looked_at",
    "What the last audit could not look at, by place: of that nothing is known",
    ["beamline", "place"],
    registry=REGISTRY,
)
AUDIT_DISK_FILL = Gauge(
    "dichroism_audit_disk_fill_ratio",
    "Part of the file system of an endpoint that was taken at the last audit, 0 to 1; not told by every storage",
    ["beamline", "endpoint"],
    registry=REGISTRY,
)
AUDIT_OLDEST = Gauge(
    "dichroism_audit_oldest_file_seconds",
    "Age of the oldest file that the last audit saw on an endpoint",
    ["beamline", "endpoint"],
    registry=REGISTRY,
)
MIRROR_WAITING = Gauge(
    "dichroism_mirror_waiting", "Objects whose newest state Prefect does not show yet", ["kind"], registry=REGISTRY
)
MIRROR_LAG = Gauge(
    "dichroism_mirror_lag_seconds", "Age of the oldest change that Prefect does not show yet", registry=REGISTRY
)
MIRROR_OFF = Gauge("dichroism_mirror_off", "1 while nothing can be shown in Prefect", ["reason"], registry=REGISTRY)
MIRROR_STATES = Counter("dichroism_mirror_states_total", "States told to Prefect", ["type"], registry=REGISTRY)
MIRROR_REQUESTS = Counter(
    "dichroism_mirror_requests_total",
    "Requests to Prefect; status 0: no answer",
    ["operation", "status"],
    registry=REGISTRY,
)
MIRROR_DROPPED = Counter(
    "dichroism_mirror_dropped_total",
    "Changes that did not fit into the mirror's queue; a sweep tells of them again",
    ["kind"],
    registry=REGISTRY,
)
MIRROR_REFUSED = Counter(
    "dichroism_mirror_refused_total", "Runs that Prefect does not take; they are left out", registry=REGISTRY
)
