"""Every word that may stand as the reason of a condition, of a kept file or of an event: closed lists.

They are part of the API: people write alerts and field selectors on them. What each means and what a person does about
it stands here once: ``docs/reference/reasons.md``, tables of the runbook and ``dichroism why`` are made from it.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Reason of a Scan's, Transfer's or Prune's condition, one CamelCase word; the docstring says when."""

    WAITING = "Waiting", "Nothing was tried yet, or an earlier step has to come first."
    NOT_CONFIGURED = "NotConfigured", "The beamline's configuration has no such step."
    IN_PROGRESS = "InProgress", "The step is under way."
    AWAITING_BUNDLE = "AwaitingBundle", "The tape bundle is still filling."
    AWAITING_FLUSH = "AwaitingFlush", "The next Prune object is still filling."
    # a step that was done
    COPIED = "Copied", "Copied now; size and checksum compared after the copy."
    ALREADY_THERE = "AlreadyThere", "A copy with the same content was there; size and checksum compared."
    ADOPTED = "Adopted", "A copy that an earlier flow had made was there; size and checksum compared."
    CATALOGUED = "Catalogued", "The catalogue has the dataset with its file list and metadata."
    HEADER_NOT_READ = (
        "HeaderNotRead",
        "Catalogued, but without metadata: the file could not be read; it is read again later, at least daily.",
        "See that the mount of the destination or the source is there; the file is read again by itself.",
    )
    CATALOGUE_NEEDS_OWNER = (
        "CatalogueNeedsOwner",
        "Catalogued, but only an owner of the dataset or an admin may correct what the message names.",
        "Let somebody who may correct the dataset, or give the account the right; then retry Catalogued.",
    )
    RECORDED = "Recorded", "The catalogue has every path that the configuration produces."
    SCHEDULED = "Scheduled", "Every configured prune of the file stands in a Prune object."
    COMPLETED = "Completed", "Every configured step is done and verified."
    TOLD = "Told", "The catalogue knows which files of the Prune were removed and which are there."
    # this file's own trouble
    CONTENT_CHANGED = "ContentChanged", "spec names a new content; the steps are done again for it."
    SOURCE_CHANGED = (
        "SourceChanged",
        "The file was not the one that spec describes while it was copied; waits for the watcher.",
        "Nothing; the watcher tells the new content. If it lasts, see whether the watcher of the beamline works.",
    )
    SOURCE_MISSING = (
        "SourceMissing",
        "The file is not at the source.",
        "Look for the file. When it was moved, its new path has its own Scan: abandon this. "
        "Else put it back with its old time (cp -p) and retry; with a new time it goes by itself.",
    )
    SOURCE_UNREADABLE = (
        "SourceUnreadable",
        "The file at the source cannot be read.",
        "Let the operator's user read the file, or restore it; then retry.",
    )
    COPY_MISSING = (
        "CopyMissing",
        "A recorded copy is not where it should be.",
        "Stop pruning. Find out who removed the copy. Then do the step again, so that the copy is made anew.",
    )
    COPY_DIFFERS = (
        "CopyDiffers",
        "A copy has another size or checksum than recorded.",
        "Stop pruning. Look after the storage, compare the copies. Then do the step again.",
    )
    DESTINATION_OBSTRUCTED = (
        "DestinationObstructed",
        "A link or folder stands where the copy should go.",
        "Move away the link, folder or special file that stands at the destination; then retry.",
    )
    CHECKSUM_MISMATCH = (
        "ChecksumMismatch",
        "Source and copy differ after the copy.",
        "Stop pruning. Compare the copies, look after the storage; then retry.",
    )
    TOO_LARGE = (
        "TooLarge",
        "The file is larger than a tape bundle's member may be.",
        "No tape copy is possible; talk to whoever is responsible for the data.",
    )
    SUSPICIOUS_REWRITE = (
        "SuspiciousRewrite",
        "The file shrank to nothing or to less than half; waits for a person's retry.",
        "Look at the file. If its new content is right, retry. If not, restore the older content from its copy.",
    )
    REFUSED_BY_CATALOGUE = (
        "RefusedByCatalogue",
        "The catalogue refuses this dataset.",
        "Correct the proposal, the ingest section or the account's rights, as the message says; then retry.",
    )
    # refused outright
    BEAMLINE_UNKNOWN = (
        "BeamlineUnknown",
        "No such beamline in the configuration.",
        "Correct spec.beamline by a new Scan, or add the beamline to config.yml.",
    )
    EXPORT_CONTROLLED = (
        "ExportControlled",
        "spec.exportControlled is set: nothing is moved.",
        "Nothing, if the file must not be moved. Else set spec.exportControlled to false.",
    )
    NAME_MISMATCH = (
        "NameMismatch",
        "metadata.name is not the name that beamline and path give.",
        "Delete this Scan; the watcher makes the right one while the file is there.",
    )
    INVALID_PATH = (
        "InvalidPath",
        "spec.path is not a legal relative path.",
        "Rename the file and delete this Scan.",
    )
    # an outside system's trouble: the lane pauses, no attempt is counted
    DESTINATION_FULL = (
        "DestinationFull",
        "No space or quota left at the destination.",
        "Free space or raise the quota. Do not delete copies by hand.",
    )
    ENDPOINT_UNAVAILABLE = (
        "EndpointUnavailable",
        "The endpoint or its mount does not answer.",
        "Look at the endpoint's mount or collection; dichroism doctor says what is wrong. Work goes on by itself.",
    )
    PERMISSION_DENIED = (
        "PermissionDenied",
        "The endpoint refuses us, as a whole or for this file.",
        "Give the operator's user the right to read the files and to write below the destination's root.",
    )
    CREDENTIALS_REFUSED = (
        "CredentialsRefused",
        "The mover's service refuses our credentials, or none are set.",
        "Renew the mover's credentials in the Secret; work goes on by itself.",
    )
    CONSENT_REQUIRED = (
        "ConsentRequired",
        "The collection needs a consent that our identity has not given.",
        "Give the consent that the message names; dichroism doctor shows how.",
    )
    RATE_LIMITED = (
        "RateLimited",
        "The mover's service takes no more requests or tasks of ours now.",
        "Nothing; it passes by itself.",
    )
    SERVICE_UNAVAILABLE = (
        "ServiceUnavailable",
        "The mover's service does not answer.",
        "Look whether the service has an announced outage; work goes on by itself.",
    )
    ENDPOINT_PAUSED = (
        "EndpointPaused",
        "An administrator paused the endpoint.",
        "Ask the administrator of the collection; the message says what was said.",
    )
    CONFLICTING_TASK = (
        "ConflictingTask",
        "A task that is not ours carries the same files; its end is awaited.",
        "Wait for the end of the other task, or have its owner cancel it.",
    )
    # the end of a task that is nobody's fault: its items are planned again, no attempt is counted
    TASK_CANCELED = "TaskCanceled", "Somebody canceled the task; its items are planned again."
    TASK_EXPIRED = "TaskExpired", "The task did not end before its deadline; its items are planned again."
    RESULTS_LOST = "ResultsLost", "What the task did to the file can't be read any more; it is planned again."
    SUBMISSION_EXPIRED = "SubmissionExpired", "The task was never started and may not be now; planned again."
    CATALOGUE_UNAVAILABLE = (
        "CatalogueUnavailable",
        "The catalogue does not answer.",
        "Look at SciCat and the proxy before it; copies go on meanwhile.",
    )
    CATALOGUE_LOGIN_FAILED = (
        "CatalogueLoginFailed",
        "The catalogue refuses our credentials.",
        "Correct the name or password of the catalogue in the Secret.",
    )
    CRON_JOB_MISSING = (
        "CronJobMissing",
        "No CronJob prunes the endpoint.",
        "Upgrade the chart with the config.yml that the operator has.",
    )
    CRON_JOB_SUSPENDED = (
        "CronJobSuspended",
        "The CronJob that prunes the endpoint is suspended.",
        "If that is not meant, resume the CronJob that the message names.",
    )
    # summaries
    ATTEMPTS_EXHAUSTED = (
        "AttemptsExhausted",
        "A step failed as often as the configuration allows.",
        "Mend the cause that the failed step names, then retry.",
    )
    SOME_ITEMS_FAILED = "SomeItemsFailed", "Some items failed; the others are done."
    TASK_FAILED = (
        "TaskFailed",
        "The task failed as a whole; its items are planned again in two halves.",
        "See the Transfer's message and the operator's log; it is tried again in halves.",
    )
    ALL_ITEMS_FAILED = "AllItemsFailed", "Every item failed."

    description: str
    remedy: str

    def __new__(cls, value: str, description: str, remedy: str = "") -> "Reason":
        """A member is its word; ``remedy`` says what a person does about it, empty where there is nothing to do."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        member.remedy = remedy
        return member


class KeptReason(StrEnum):
    """Why a due file was kept. Settled ones are not tried again, open ones with back-off from 1 h to 7 days."""

    # open
    NOT_DUE = (
        "NotDue",
        "Today's configuration keeps the file longer than the Prune recorded.",
        False,
        "Nothing. To let files go earlier, change the retention.",
    )
    NO_COPY_RECORDED = (
        "NoCopyRecorded",
        "A needed endpoint has no recorded copy of this content.",
        False,
        "Take the endpoint out of needs, or make the copy and have the Scan record it.",
    )
    ENDPOINT_CHANGED = (
        "EndpointChanged",
        "root_path or uuid of an endpoint is not the recorded one.",
        False,
        "If it is the same folder under a new root_path or uuid: dichroism prune rebind.",
    )
    COPY_MISSING = (
        "CopyMissing",
        "A needed copy is not where it was recorded.",
        False,
        "Stop pruning. Find out who removed the copy. The source is a copy now: do the step again that makes it.",
    )
    COPY_DIFFERS = (
        "CopyDiffers",
        "A needed copy has another size or checksum than recorded.",
        False,
        "Stop pruning. Look after the storage, compare with the source, then do the step again that makes the copy.",
    )
    HELD = (
        "Held",
        "A hold of the configuration names the file.",
        False,
        "Nothing, while somebody wants the file. The hold in config.yml ends at its until, or when it is removed.",
    )
    SUSPENDED = (
        "Suspended",
        "The Scan or the Prune is suspended.",
        False,
        "Nothing, while somebody wants the file. Else: dichroism release.",
    )
    AWAITING_VERIFICATION = (
        "AwaitingVerification",
        "A needed copy could not be verified yet.",
        False,
        "Look at the endpoint of the copy, if it lasts for days; it passes by itself.",
    )
    ENDPOINT_UNAVAILABLE = (
        "EndpointUnavailable",
        "An endpoint or its mount does not answer.",
        False,
        "Look at the mount in the pod of the prune job.",
    )
    ORIGINAL_OCCUPIED = (
        "OriginalOccupied",
        "A file had to be put back but its path is taken: it stays in the trash.",
        False,
        "Compare both files and move one away; the next run puts the other one back.",
    )
    UNREADABLE = (
        "Unreadable",
        "The file could not be examined or renamed.",
        False,
        "Look at the permissions of the file and of its folder.",
    )
    # settled
    ALREADY_GONE = "AlreadyGone", "The file was not there any more.", True
    SUPERSEDED = "Superseded", "A newer content of the Scan took this path.", True
    SOURCE_CHANGED = "SourceChanged", "The file at the path is not the content that was scheduled.", True
    SOURCE_MOVED = "SourceMoved", "The file was moved away from this path.", True

    description: str
    settled: bool
    remedy: str

    def __new__(cls, value: str, description: str, settled: bool, remedy: str = "") -> "KeptReason":
        """A member is its word; ``settled`` says whether it is tried again, ``remedy`` what a person does about it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        member.settled = settled
        member.remedy = remedy
        return member


class EventReason(StrEnum):
    """Reason of a Kubernetes Event; warnings are marked."""

    CONTENT_CHANGED = "ContentChanged", "The file has a new content; its steps are done again.", False
    SUSPICIOUS_REWRITE = "SuspiciousRewrite", "The file shrank to less than half; a person must retry.", True
    REFUSED = "Refused", "The Scan is refused; nothing is moved.", True
    STEP_FAILED = "StepFailed", "A step failed for this file and is tried again.", True
    FAILED = "Failed", "Nothing more can progress without a person.", True
    RETRYING = "Retrying", "A person's retry was taken up.", False
    RETRY_NOTHING_TO_DO = "RetryNothingToDo", "A retry was asked for, but no step has failed.", False
    RETRY_REFUSED = "RetryRefused", "A retry was asked for that cannot be done.", True
    LANE_PAUSED = "LanePaused", "An outside system's trouble pauses the lane for all.", True
    LANE_RESUMED = "LaneResumed", "The lane goes on.", False
    COPY_DIFFERS = "CopyDiffers", "A copy that was read for its metadata is not the recorded one.", True
    WATCHER_SILENT = "WatcherSilent", "No watcher completes passes over a beamline's folder: new files wait.", True
    WATCHER_TROUBLE = "WatcherTrouble", "A watcher tells of trouble that a person has to mend.", True
    WATCHER_BACK = "WatcherBack", "A beamline's folder is watched again.", False
    AUDIT_FOUND = "AuditFound", "An audit found files or bundles that are not where they should be.", True
    FLIGHT_CHECK_FAILED = "FlightCheckFailed", "A flight check did not get through: no scan would.", True
    MEMBER_LEFT_OUT = "MemberLeftOut", "A file was left out of a tape bundle.", True
    PRUNE_STOPPED = "PruneStopped", "The stop switch is on: nothing is pruned.", True
    TRASHED = "Trashed", "The files of a Prune lie in the trash.", False
    PRUNED = "Pruned", "The trash of a Prune was emptied.", False
    BATCH_TRASHED = "BatchTrashed", "Files of a Prune were moved into the trash.", False
    BATCH_DELETED = "BatchDeleted", "Files of a Prune were deleted from the trash.", False
    BATCH_PUT_BACK = "BatchPutBack", "Files of a Prune were put back from the trash.", False
    FOLDERS_REMOVED = "FoldersRemoved", "Folders that a Prune left empty were removed.", False
    KEPT = "Kept", "Due files were kept.", True
    CATALOGUE_NOT_TOLD = (
        "CatalogueNotTold",
        "The catalogue does not know yet which files were removed; later runs tell it.",
        True,
    )
    POOL_IN_USE = (
        "PoolInUse",
        "A work pool or deployment of our names in Prefect is used by others: nothing is shown there.",
        True,
    )

    description: str
    warning: bool

    def __new__(cls, value: str, description: str, warning: bool) -> "EventReason":
        """A member is its word; ``warning`` decides the Event's type."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        member.warning = warning
        return member


REASONS = {one.value: one for one in Reason}
KEPT_REASONS = {one.value: one for one in KeptReason}
"""By the word that stands in an object, which a newer version may have written."""
