"""Every metric of the operator and the prune job. No label carries an object's name: nothing grows with the data."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

STEPS_DONE = Counter("dichroism_steps_total", "Steps finished", ["beamline", "step", "result"], registry=REGISTRY)
WAITING = Gauge("dichroism_waiting_scans", "Scans that wait for a step", ["beamline", "step"], registry=REGISTRY)
TRANSFERS_RUNNING = Gauge("dichroism_transfers_running", "Unfinished Transfers", ["lane"], registry=REGISTRY)
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
EVENTS_DROPPED = Counter(
    "dichroism_events_dropped_total", "Kubernetes Events that could not be posted", registry=REGISTRY
)
LEADER = Gauge("dichroism_leader", "1 while this process holds the Lease", registry=REGISTRY)
