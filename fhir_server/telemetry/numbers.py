"""Every number of the server itself, for `/metrics`; docs/metrics.md is generated from these lines.

Names: https://prometheus.io/docs/practices/naming/
"""

from typing import Final

from fhir_server.telemetry.instruments import SLOW, Counter, Gauge, Histogram

_GROUP: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
_LAG: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0)

# --- requests
REQUESTS = Counter(
    "fhir_server_requests",
    "FHIR requests that were answered, by interaction (or operation, or route of a plugin); `malformed`: by none.",
    "interaction", "type", "status",
)  # fmt: skip
REQUEST_SECONDS = Histogram(
    "fhir_server_request_seconds", "Seconds until a FHIR request was answered.", "interaction"
)  # fmt: skip
VALIDATION_SECONDS = Histogram(
    "fhir_server_validation_seconds",
    "Seconds of checking a resource before it is written, by type.",
    "type",
    span="validation",
)
OPERATION_SECONDS = Histogram(
    "fhir_server_operation_seconds",
    "Seconds of the work of an operation, within its request.",
    "operation",
    span="operation",
)
SLOW_REQUESTS = Counter(
    "fhir_server_slow_requests", "FHIR requests that took longer than the setting `slow_request`.", "interaction"
)

# --- store
COMMIT_SECONDS = Histogram(
    "fhir_server_store_commit_seconds", "Seconds until a commit was durable, waiting included.", span="store.commit"
)
GROUP_COMMITS = Histogram(
    "fhir_server_store_group_commits", "Commits that shared one transaction of the engine.", ends=_GROUP
)
GROUP_SECONDS = Histogram(
    "fhir_server_store_group_seconds", "Seconds that one transaction of the engine took, its sync included."
)
TURN_SECONDS = Histogram("fhir_server_store_turn_seconds", "Seconds that a process waited for its turn to write.")
WRITERS = Gauge("fhir_server_store_waiting_writers", "Commits that wait for the writer.")
READS = Counter("fhir_server_store_reads", "Calls of the store that read, by kind.", "kind")
READ_SECONDS = Histogram(
    "fhir_server_store_read_seconds", "Seconds of searches, counts and histories.", "kind", span="store.read"
)
STORE_ERRORS = Counter(
    "fhir_server_store_errors",
    "Refusals and faults of the store, by kind; those of a conflict or a busy database are tried again.", "kind",
)  # fmt: skip
STORE_BYTES = Gauge(
    "fhir_server_store_size_bytes", "Size of what is stored, all tenants that are open.", "part", across="here"
)
CHECKPOINT_SECONDS = Histogram(
    "fhir_server_store_checkpoint_seconds", "Seconds of moving the log file into the record (SQLite)."
)
CHECKPOINT_PAGES = Counter("fhir_server_store_checkpoint_pages", "Pages moved from the log file (SQLite).")
FREE_BYTES = Gauge("fhir_server_store_free_bytes", "Bytes free on the disk of the data folder.", across="here")
CONNECTIONS = Gauge("fhir_server_mongodb_connections", "Connections to MongoDB, by state.", "state")
CONNECTION_WAITS = Counter(
    "fhir_server_mongodb_connection_failures", "Connections that could not be had, by reason.", "reason"
)
BREAKER_STATE = Gauge(
    "fhir_server_breaker_state",
    "State of the circuit breaker of a server: 0 closed, 1 half-open, 2 open.",
    "server",
    across="max",
)
OPENED = Counter("fhir_server_breaker_opened", "Times that a circuit breaker opened.", "server")
STORE_REFUSED = Counter("fhir_server_store_refused", "Calls that an open breaker refused.", "server")
STORE_FAILED = Counter("fhir_server_store_failed", "Calls of a server across the network that failed.", "server")
RETRIES = Counter("fhir_server_store_retries", "Calls of the database that were made again, by reason.", "reason")

# --- search
SLOW_SEARCHES = Counter("fhir_server_search_slow", "Searches that took longer than the setting `slow_request`.", "type")
CUT_OFF = Counter("fhir_server_search_cut_off", "Searches that were cut off as too costly.")
INDEX_LAG = Gauge(
    "fhir_server_search_index_lag_seconds", "Age of the oldest change that the search index lacks.", across="max"
)

# --- feed: of all tenants together, the longest lag of any
DELIVERIES = Counter(
    "fhir_server_feed_deliveries", "Calls of consumers of the feed, by outcome `ok`, `failed`.", "consumer", "outcome"
)
DELIVERED = Counter("fhir_server_feed_delivered_changes", "Changes that a consumer has taken.", "consumer")
DELIVERY_SECONDS = Histogram(
    "fhir_server_feed_delivery_seconds", "Seconds that a consumer took for a call.", "consumer", span="feed.delivery"
)
FEED_BEHIND = Gauge(
    "fhir_server_feed_behind", "Changes that a consumer has not been given yet.", "consumer", across="here"
)
FEED_LAG = Gauge(
    "fhir_server_feed_lag_seconds", "Age of the oldest change that a consumer lacks.", "consumer", across="here"
)
FEED_WAITING = Gauge(
    "fhir_server_feed_waiting", "Changes that failed and wait for another try.", "consumer", across="here"
)
FEED_DEAD = Gauge("fhir_server_feed_dead_letters", "Changes that were given up.", "consumer", across="here")
FEED_FAILING = Gauge(
    "fhir_server_feed_failing", "Tenants in which a consumer takes nothing at all.", "consumer", across="here"
)
SENT = Counter(
    "fhir_server_deliveries", "What was sent to others, by plugin, channel and outcome.", "plugin", "channel", "outcome"
)

# --- jobs and scheduled work
JOBS = Gauge("fhir_server_jobs", "Jobs that go on, by state.", "state", across="here")
JOBS_OLDEST = Gauge("fhir_server_jobs_oldest_seconds", "Age of the oldest job that waits or runs.", across="here")
JOBS_ENDED = Counter("fhir_server_jobs_ended", "Jobs that ended in this process, by kind and state.", "kind", "state")
JOB_SECONDS = Histogram(
    "fhir_server_job_seconds", "Seconds from the start of a job to its end.", "kind", ends=SLOW, span="job"
)
SCHEDULED = Counter("fhir_server_scheduled_runs", "Runs of scheduled work, by outcome.", "name", "outcome")

# --- audit
AUDIT_ROWS = Counter(
    "fhir_server_audit_rows", "Rows of the audit that were written, `commit`: with their write.", "way"
)
AUDIT_WAITING = Gauge("fhir_server_audit_waiting_rows", "Rows of the audit that wait to be written.")
AUDIT_UNNUMBERED = Gauge(
    "fhir_server_audit_unnumbered_rows", "Rows of the audit that are stored and wait for their numbers (MongoDB)."
)
AUDIT_UNNUMBERED_AGE = Gauge(
    "fhir_server_audit_unnumbered_seconds", "Age of the oldest row that waits for its number.", across="max"
)
AUDIT_NUMBERINGS = Counter(
    "fhir_server_audit_numberings", "Turns to write that were taken to number rows of the audit (MongoDB)."
)
AUDIT_FAILURES = Counter(
    "fhir_server_audit_failures", "Tries to write, number, sign or send the audit that failed.", "what"
)
AUDIT_SIGNED = Gauge(
    "fhir_server_audit_signed_timestamp_seconds", "When the head of an audit log was signed last.", across="max"
)
AUDIT_VERIFIED = Gauge(
    "fhir_server_audit_verified_timestamp_seconds", "When the audit was last verified against its heads.", across="max"
)
ALARMS = Counter("fhir_server_alarms", "Alarms that were raised, by kind.", "kind")

# --- backups
BACKUP_LAG = Gauge(
    "fhir_server_backup_archive_lag_seconds",
    "Age of the oldest commit that the archive of backups lacks.",
    across="max",
)
BACKUP_AGE = Gauge(
    "fhir_server_backup_last_base_age_seconds",
    "Age of the oldest of the newest base backups of all tenants.",
    across="max",
)
BACKUP_WAITING = Gauge(
    "fhir_server_backup_spool_bytes", "Bytes that wait on the local disk for the archive.", across="max"
)
BACKUP_FAILING = Gauge("fhir_server_backup_failing", "1 while the archive of backups cannot be written.", across="max")

# --- authority
AUTH_EVENTS = Counter(
    "fhir_server_auth_events", "Calls of the authorization server, by what and outcome.", "what", "outcome"
)
REFUSALS = Counter("fhir_server_auth_refusals", "FHIR requests refused for want of authority, by status.", "status")

# --- processes
PROCESSES = Gauge("fhir_server_processes", "Processes of this node that give signs of life, by role.", "role")
MEMORY = Gauge("fhir_server_process_resident_memory_bytes", "Resident memory, shared pages counted for each.", "role")
DESCRIPTORS = Gauge("fhir_server_process_open_fds", "Open file descriptors.", "role")
MOST_DESCRIPTORS = Gauge("fhir_server_process_max_fds", "Most file descriptors of one process.", across="min")
CPU = Counter("fhir_server_process_cpu_seconds", "Processor time, user and system.", "role")
LOOP_LAG = Histogram(
    "fhir_server_event_loop_lag_seconds", "Seconds by which a timer of the event loop came late.", "role", ends=_LAG
)
COLLECTIONS = Counter("fhir_server_gc_collections", "Runs of the garbage collector.", "generation")
COLLECTION_SECONDS = Counter("fhir_server_gc_seconds", "Seconds spent in the garbage collector.", "generation")
STARTED = Gauge("fhir_server_start_time_seconds", "When the oldest process started, since 1970.", across="min")
BUILD = Gauge(
    "fhir_server_build_info", "1; the labels say what runs.", "version", "python", "engine", across="max"
)  # fmt: skip
DRAINING = Gauge("fhir_server_draining", "1 while the node finishes what it has and takes no more.", across="max")

COUNTERS: Final = tuple(each for each in tuple(globals().values()) if isinstance(each, Counter))
HISTOGRAMS: Final = tuple(each for each in tuple(globals().values()) if isinstance(each, Histogram))
GAUGES: Final = tuple(each for each in tuple(globals().values()) if isinstance(each, Gauge))
