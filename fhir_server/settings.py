"""Every limit, timeout and default of the server, each with one line of meaning.

Values come from a TOML file, then `FHIR_SERVER_*` variables, then command-line flags; only app.py and cli.py read the
environment. docs/settings.md is held to this file by a test.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]


class Settings(BaseModel):
    """The server's settings. Sizes are bytes, times are seconds unless the name says otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __hash__(self) -> int:
        """Some are mappings, which have no hash; those that tell tenants and servers apart are enough for one."""
        return hash((self.data_dir, self.base_url, self.port, self.auth, self.page_size, self.validation))

    @model_validator(mode="after")
    def _engine_is_there(self) -> Self:
        """Refuse an engine whose driver is not installed, and encryption by us where the engine does it."""
        if self.storage == "mongodb" and find_spec("pymongo") is None:
            raise ValueError("storage: mongodb needs a package, pip install 'fhir-server[mongodb]'")
        if self.search_index == "elasticsearch" and find_spec("elasticsearch") is None:
            raise ValueError("search_index: elasticsearch needs a package, pip install 'fhir-server[elasticsearch]'")
        sealed = self.encryption == "on" or (self.encryption == "auto" and self.encryption_key)
        if self.search_index == "elasticsearch" and sealed:
            raise ValueError("encryption: a search index holds the words of the record; encrypt its volumes instead")
        if self.storage == "mongodb" and self.encryption == "on":
            raise ValueError("encryption: on is for the embedded engine; MongoDB encrypts its own files")
        if self.coordinator_url and find_spec("redis") is None:
            raise ValueError("coordinator_url: Redis needs a package, pip install 'fhir-server[redis]'")
        return self

    @model_validator(mode="after")
    def _traces_can_be_sent(self) -> Self:
        """Refuse traces where what sends them is not installed."""
        if self.tracing == "on" and find_spec("opentelemetry.exporter") is None:
            raise ValueError("tracing: on needs a package, pip install 'fhir-server[otel]'")
        return self

    # --- where and how it serves
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: Positive = Field(1, description="Processes that answer requests.")
    drain: Count = Field(
        0,
        description="Seconds after SIGTERM in which `/health/ready` is 503 and answers end their connections, so that "
        "a balancer sends requests elsewhere, before the sockets close.",
    )
    stop_grace: Positive = Field(15, description="Seconds that requests under way then have to end.")
    coordinator_url: str = Field(
        "",
        description="Redis that counts the rate limits of all nodes, `redis://host:6379/0`; empty: they are counted in "
        "the store, or with SQLite in a file.",
    )
    data_dir: Path = Field(Path("data"), description="Folder of the embedded store; one server owns it at a time.")
    erasure_register: Path | None = Field(
        None, description="File in which erasures are noted for restores; without it `erasures.ndjson` in `data_dir`."
    )
    package_dir: Path | None = Field(None, description="Folder of IG packages (.tgz) in force for all tenants.")
    auth: Literal["smart", "none"] = Field(
        "smart", description="`smart` asks for tokens; `none` is open to everybody and binds to loopback only."
    )
    base_url: str = Field("", description="Public URL of the FHIR endpoint; empty: taken from each request.")
    trusted_proxies: tuple[str, ...] = Field(
        ("127.0.0.1", "::1"), description="Peers whose X-Forwarded-* headers are believed."
    )
    cors_origins: tuple[str, ...] = Field(("*",), description="Origins that browsers may call from.")
    demo: bool = Field(True, description="Load demo patients into an empty data folder.")

    # --- limits of a request
    max_body: Positive = Field(100_000_000, description="Largest request body, after decompression.")
    max_url: Positive = Field(16_384, description="Longest URL.")
    max_depth: Positive = Field(100, description="Deepest nesting of JSON or XML.")
    max_entries: Positive = Field(50_000, description="Most entries in a batch or transaction.")
    max_or_values: Positive = Field(5_000, description="Most comma-separated values of one search parameter.")
    max_expansion: Positive = Field(1_000, description="Most codes that one answer of $expand holds; more take pages.")
    max_ranges: Positive = Field(
        200, description="Most values of one parameter where each is a look-up: quantities, composites, trees, texts."
    )
    max_filter: Positive = Field(500, description="Most tests in one _filter.")
    max_sort: Positive = Field(10, description="Most keys of _sort.")
    max_parameters: Positive = Field(200, description="Most parameters in one search.")
    max_chain: Positive = Field(8, description="Deepest chain or _has.")
    max_includes: Positive = Field(
        10_000, description="Most included resources in one page; the page says if it was cut."
    )
    max_iterations: Positive = Field(8, description="Rounds of _include:iterate.")
    max_delete: Positive = Field(1_000, description="Most resources that one conditional delete removes.")
    conditional_delete: Literal["none", "single", "multiple"] = Field(
        "multiple", description="Whether a conditional delete may match several resources."
    )
    page_size: Positive = Field(50, description="Rows of a page when _count is absent.")
    max_page_size: Positive = Field(1_000, description="Largest _count that is honoured.")
    link_life: Positive = Field(1_800, description="How long a page link stays valid, in seconds.")
    read_timeout: Positive = Field(30, description="Seconds in which a client must have sent its request body.")
    send_timeout: Positive = Field(60, description="Seconds after which a client that stops reading is cut off.")
    search_timeout: Positive = Field(30, description="Seconds after which a search is cut off as too costly.")
    conditional_retries: Positive = Field(
        20, description="Times that a conditional write is planned again after a conflict."
    )
    max_package: Positive = Field(1_000_000_000, description="Most bytes that an IG package unpacks to.")
    max_package_file: Positive = Field(100_000_000, description="Largest resource in an IG package.")
    max_package_files: Positive = Field(50_000, description="Most files in an IG package.")
    gzip_minimum: Positive = Field(1_024, description="Smallest response that is compressed.")

    # --- authority
    audit: Literal["auto", "on", "off"] = Field(
        "auto", description="Whether requests are audited; `auto` does where `auth` is on."
    )
    audit_years: int = Field(
        0, ge=0, le=200, description="Years for which the audit is kept, older rows are removed; 0: for ever."
    )
    token_life: Positive = Field(3_600, description="How long an access token is good, in seconds.")
    refresh_life: Positive = Field(90 * 86_400, description="How long an unused refresh token is good, in seconds.")
    refresh_grace: Positive = Field(
        60, description="Seconds in which a refresh token that was used is answered once more with the same answer."
    )
    code_life: Positive = Field(60, description="How long an authorization code is good, in seconds.")
    sign_in_failures: Positive = Field(5, description="Failed sign-ins in a row after which a user is locked.")
    sign_in_lock: Positive = Field(900, description="How long a user is locked then, in seconds.")
    session_life: Positive = Field(12 * 3_600, description="How long a browser stays signed in, in seconds.")
    brands_file: Path | None = Field(None, description="File with the Bundle of user-access brands, JSON.")
    brand_identifier: str = Field("", description="Identifier of the primary brand: `value` or `system|value`.")
    client_registration: bool = Field(False, description="Whether anybody may register an app (RFC 7591).")
    jwks_inside: bool = Field(
        False, description="Whether JWKS URLs of clients may lie in private networks and be plain HTTP (development)."
    )
    app_state_bytes: Positive = Field(262_144, description="Largest state that an app may keep, in bytes.")
    app_state_most: Positive = Field(100, description="Most states of one code and subject that apps may keep.")
    key_life: Positive = Field(90 * 86_400, description="How long a replaced signing key stays published, in seconds.")
    token_check: Positive = Field(1, description="Seconds in which a worker may not notice that a token was revoked.")
    password_length: int = Field(12, ge=8, le=128, description="Fewest characters of a password.")
    roles_file: Path | None = Field(
        None, description="TOML file with roles: a name and the most scopes its users get; over those of docs/users.md."
    )
    strong_roles: tuple[str, ...] = Field(
        (), description="Roles that count only for users who have an authenticator or a passkey, such as `admin`."
    )
    providers_file: Path | None = Field(
        None, description="TOML file with the OpenID providers that users may sign in with (docs/users.md)."
    )
    break_glass_roles: tuple[str, ...] = Field(
        ("clinician",), description="Roles that may open a patient's whole record in an emergency, giving a reason."
    )
    break_glass_life: Positive = Field(3_600, description="How long an emergency access lasts, in seconds.")
    rate_sign_in: str = Field(
        "120/minute", description="Most sign-ins from one address, as `20/minute;100/hour`; empty: no limit."
    )
    rate_token: str = Field("1200/minute", description="Most calls of the token endpoints by one address.")
    rate_client: str = Field("", description="Most FHIR requests of one app, as `600/minute`; empty: no limit.")
    rate_user: str = Field("", description="Most FHIR requests on behalf of one user.")
    rate_tenant: str = Field("", description="Most FHIR requests with a token to one tenant.")
    rate_address: str = Field("", description="Most FHIR requests of one address, with a token or without.")
    tls_cert: Path | None = Field(None, description="PEM file with the certificate chain; with it, HTTPS alone.")
    tls_key: Path | None = Field(None, description="PEM file with the private key of the certificate.")
    tls_self_signed: bool = Field(False, description="Make a certificate of its own, for trials.")
    tls_minimum: Literal["1.3", "1.2"] = Field("1.3", description="Oldest version of TLS that is spoken.")
    tls_check: Positive = Field(10, description="Seconds after which a worker looks for a renewed certificate.")
    hsts: Count = Field(31_536_000, description="Seconds that browsers stay with HTTPS once they saw it; 0: not told.")
    consent: Literal["on", "off"] = Field("on", description="Whether Consents and security labels limit what is seen.")
    consent_default: Literal["permit", "deny"] = Field(
        "permit", description="What holds for patients without a Consent."
    )
    consent_purposes: dict[str, tuple[str, ...]] = Field(
        {"*": ("TREAT",), "clerk": ("TREAT", "HOPERAT"), "billing": ("HPAYMT",), "auditor": ("HOPERAT",)},
        description="Purposes for which users act, by role; `*` is everybody else, services included.",
    )
    label_roles: dict[str, tuple[str, ...]] = Field(
        {
            "R": ("clinician", "nurse", "admin"),
            "V": ("clinician", "admin"),
            **dict.fromkeys(("PSY", "SUD", "ETH", "HIV", "SDV", "SEX", "STD"), ("clinician", "admin")),
            "BREACH": ("auditor", "admin"),
        },
        description="Security labels, and the roles whose users may see what carries them.",
    )
    hidden_pause: Count = Field(
        20,
        description="Milliseconds that an empty answer or a refusal takes at the least where something may be hidden "
        "from the caller, so that its time says nothing; 0: no more than it takes.",
    )
    label_removers: tuple[str, ...] = Field(
        ("admin",), description="Roles whose users may take security labels off, by $meta-delete."
    )
    shared_types: tuple[str, ...] = Field(
        (
            "Practitioner", "PractitionerRole", "Organization", "OrganizationAffiliation", "Location",
            "HealthcareService", "Endpoint", "Medication", "MedicationKnowledge", "Substance", "ValueSet", "CodeSystem",
            "ConceptMap", "StructureDefinition", "SearchParameter", "OperationDefinition", "NamingSystem",
            "Questionnaire", "PlanDefinition", "ActivityDefinition", "Library", "Measure", "InsurancePlan",
        ),
        description="Types without a link to patients that `patient/` scopes and patients may read.",
    )  # fmt: skip

    # --- tenants
    tenant_hosts: tuple[Annotated[str, Field(pattern=r"^[^=\s:]+=[a-z0-9][a-z0-9_-]{0,62}$")], ...] = Field(
        (), description="Hosts that serve a tenant at `/fhir`, as `clinic.example=clinic`, besides those of its own."
    )
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,32}$")] = Field(
        "", description="Where this server's data lie, as `eu`: tenants that are bound to another region get 421 here."
    )
    region_urls: tuple[Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}=https?://\S+$")], ...] = Field(
        (), description="Public URLs of the other regions, as `us=https://us.example/fhir`; who is sent on is told."
    )
    tenants_open: Positive = Field(32, description="Most tenants, beside the default one, open at once in a process.")
    tenant_idle: Positive = Field(300, description="Seconds without a request after which a tenant is closed.")

    # --- plugins
    plugins_dir: Path | None = Field(None, description="Folder of plugins, each a package with a MANIFEST.")
    plugins_enabled: tuple[str, ...] = Field((), description="Plugins in force that are not so by themselves.")
    plugins_disabled: tuple[str, ...] = Field((), description="Installed plugins that are not loaded.")
    plugins_apart: tuple[str, ...] = Field((), description="Plugins whose operations run in a process of their own.")
    plugins: dict[str, dict[str, Any]] = Field({}, description="Settings of plugins by their names: `[plugins.NAME]`.")
    plugin_scopes: dict[str, tuple[str, ...]] = Field(
        {}, description="Scopes that plugins are granted, by their names; one not named has those it asks for."
    )

    # --- change feed, scheduled work, jobs
    background: Literal["auto", "own", "inside"] = Field(
        "auto",
        description="Where feed consumers, scheduled work and background jobs run: in a process of their `own`, or "
        "`inside` the one that answers requests; `auto`: of their own if there are several workers.",
    )
    feed_timeout: float = Field(60, gt=0, description="Seconds that a consumer may take for a batch, if it names none.")
    feed_retry_first: float = Field(
        1, gt=0, description="Seconds after which what a consumer failed at is tried again; doubled at each failure."
    )
    feed_retry_longest: float = Field(900, gt=0, description="Most seconds between two tries of a delivery.")
    feed_retry_for: Positive = Field(
        86_400, description="Seconds for which a delivery is tried before it becomes a dead letter."
    )
    feed_alarm: Positive = Field(600, description="Seconds after which a consumer that takes nothing raises an alarm.")
    feed_waiting: Positive = Field(
        1_000, description="Most changes that wait for another try beside the stream, for each partition of a consumer."
    )
    feed_fallback: Positive = Field(
        60, description="Seconds between looks for written tenants, should a wake-up have been lost."
    )
    feed_linger: Positive = Field(5, description="Seconds for which a tenant without changes is kept open by the feed.")
    feed_tenants: Positive = Field(8, description="Tenants whose changes are delivered at the same time.")
    retention_cron: str = Field(
        "", description="When retention policies are followed, as a line of crontab (`30 3 * * *`); empty: when asked."
    )
    schedule_timeout: Positive = Field(3_600, description="Seconds that a scheduled run may take, if it names none.")

    metrics: Literal["open", "local", "off"] = Field(
        "local", description="Who may read `/metrics`: everybody, this machine, nobody."
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="Form of the lines of the log; `json`: one object a line, with ids of request and trace."
    )
    access_log: bool = Field(
        False, description="Write a line of the log for each FHIR request: what was asked in outline, status, time."
    )
    slow_request: float = Field(
        2, ge=0, description="Seconds from which a FHIR request is named in the log, in outline; 0: never."
    )
    tracing: Literal["off", "on"] = Field(
        "off", description="Whether traces are sent to an OpenTelemetry collector (`pip install 'fhir-server[otel]'`)."
    )
    tracing_endpoint: str = Field(
        "http://127.0.0.1:4318", description="Address of the collector, OTLP over HTTP; `/v1/traces` is added."
    )
    tracing_share: float = Field(
        1, ge=0, le=1, description="Share of requests that are traced, where no caller has decided."
    )
    tracing_logs: bool = Field(False, description="Whether lines of the log are sent to the collector too.")
    audit_verify_cron: str = Field(
        "", description="When the audit is verified against its signed heads, as a line of crontab; empty: when asked."
    )
    watchdog: Positive = Field(
        5, description="Seconds for which a plugin may block the event loop before it is broken off."
    )
    job_life: Positive = Field(86_400, description="Seconds for which the result of a job is kept.")
    jobs_at_once: Positive = Field(2, description="Jobs that one process runs at the same time; others wait.")
    job_tries: Positive = Field(5, description="Times that a job is begun again after its process died.")

    # --- rules of the record
    validation: Literal["off", "structure", "full"] = Field(
        "full", description="What is checked before a write: shape alone, or also rules, codes and profiles."
    )
    update_create: bool = Field(True, description="Whether PUT may create a resource with the client's id.")
    integrity_on_delete: bool = Field(True, description="Refuse to delete what other resources refer to.")
    integrity_on_write: bool = Field(False, description="Refuse references to resources that do not exist.")
    default_timezone: str = Field("UTC", description="Zone of dates that name none.")
    unknown_parameters: Literal["strict", "lenient"] = Field(
        "strict", description="What happens to unknown search parameters when the client has no preference."
    )

    # --- the embedded store
    encryption: Literal["auto", "on", "off"] = Field(
        "auto", description="Whether stores are encrypted (docs/encryption.md); `auto` does with an `encryption_key`."
    )
    encryption_key: str = Field(
        "",
        description="Master key: `file:PATH`, `env:NAME`, `aws-kms:KEY`, `vault:MOUNT/KEY` or `pkcs11:URI`; empty: "
        "a file beside the data folder.",
    )
    envelopes: Literal["on", "off"] = Field(
        "on", description="Whether an encrypted store seals each resource under the key of its patient too."
    )
    patient_keys: Path | None = Field(
        None, description="Folder of the keys of patients, which no backup may hold; empty: one beside the data folder."
    )
    patient_keys_copy: Path | None = Field(
        None, description="Folder, on another machine, of their only copy: backups and erasures keep it up to date."
    )
    rotate_live: Count = Field(
        1_000_000_000,
        description="Bytes of a record up to which a new key comes into force while it serves (writes wait some "
        "seconds); of a larger one when the server starts.",
    )
    storage: Literal["sqlite", "mongodb"] = Field("sqlite", description="Engine that keeps the record.")
    mongodb_url: str = Field(
        "mongodb://127.0.0.1:27017/", description="Address of MongoDB, with user and password where it asks for them."
    )
    mongodb_database: str = Field(
        "fhir",
        pattern=r"^[a-z0-9][a-z0-9-]{0,30}$",
        description="Name that all databases of this server begin with; each tenant has one of its own.",
    )
    mongodb_timeout: Positive = Field(5, description="Seconds to look for a server of MongoDB that answers.")
    mongodb_connections: Positive = Field(50, description="Most connections of each process to MongoDB.")
    mongodb_read_preference: Literal["primary", "primaryPreferred", "secondary", "secondaryPreferred", "nearest"] = (
        Field("primary", description="Members of a replica set that searches may read from; writes read the primary.")
    )
    mongodb_write_concern: str | int = Field(
        "majority", description="Members that must have a write before it is answered: a number or `majority`."
    )
    mongodb_sorts: tuple[str, ...] = Field(
        ("-date", "date", "family", "name", "birthdate", "-authoredon"),
        max_length=30,
        description="Orders, as `_sort` names them, that MongoDB keeps an index for; others it sorts for each search.",
    )
    mongodb_lease: Positive = Field(
        10, description="Seconds after which the turn to write, or leadership, of a process that died is taken over."
    )
    store_deadline: Positive = Field(
        45, description="Seconds that a request may wait for servers of its store in all, repeats included; then 503."
    )
    store_tries: Positive = Field(
        4, description="Times that a read is tried when the database across the network fails."
    )
    store_queue: Positive = Field(
        1_000, description="Most writes of a tenant that wait in one process; others get 503."
    )
    breaker_failures: Positive = Field(
        5, description="Calls in a row that a server must leave unanswered until requests that need it get 503 at once."
    )
    breaker_longest: float = Field(2, gt=0, description="Most seconds between two looks whether such a server is back.")
    # --- search index
    search_index: Literal["none", "elasticsearch"] = Field(
        "none", description="What helps the database to search (docs/search_index.md)."
    )
    elasticsearch_url: str = Field(
        "http://127.0.0.1:9200", description="Addresses of the nodes of Elasticsearch, with commas between."
    )
    elasticsearch_user: str = Field("", description="User of Elasticsearch.")
    elasticsearch_password: str = Field("", description="Password of that user.")
    elasticsearch_api_key: str = Field("", description="API key of Elasticsearch, instead of user and password.")
    elasticsearch_ca: Path | None = Field(None, description="PEM file with the authority of its certificates.")
    elasticsearch_index: str = Field(
        "fhir",
        pattern=r"^[a-z0-9][a-z0-9-]{0,30}$",
        description="Name that all indexes of this server begin with; each tenant has one of its own.",
    )
    elasticsearch_shards: Positive = Field(1, description="Shards of a new index.")
    elasticsearch_replicas: Count = Field(1, description="Most copies of each shard; fewer where there are few nodes.")
    elasticsearch_timeout: float = Field(
        5, gt=0, description="Seconds to wait for an answer of the index; then the database searches alone."
    )
    elasticsearch_bulk_timeout: float = Field(60, gt=0, description="Seconds that a write to the index may take.")
    elasticsearch_batch: Positive = Field(1_000, description="Versions that are written to the index at once.")
    elasticsearch_pause: float = Field(
        0.5, ge=0, description="Seconds between two writes to the index, so that several commits share one."
    )
    elasticsearch_unindexed: Count = Field(
        1_000,
        description="Changes not yet in the index that a search looks at beside it; of more it says that it lags.",
    )
    elasticsearch_lag: Positive = Field(60, description="Seconds of lag over which the index counts as unwell.")
    elasticsearch_candidates: Positive = Field(
        10_000, description="Candidates of the index looked at for one page; of more the database searches alone."
    )
    elasticsearch_counted: Positive = Field(
        100_000, description="Candidates looked at for a total; of more the database counts alone."
    )
    elasticsearch_sorts: bool = Field(
        True, description="Whether the index gives those orders of `_sort` that the database has no index for."
    )
    elasticsearch_build: Count = Field(
        0, description="Raise it to have every index built anew, while the old one answers."
    )
    group_commit: Positive = Field(64, description="Most commits that share one fsync.")
    cache_bytes: Positive = Field(64_000_000, description="Page cache of each process.")
    readers: Positive = Field(4, description="Threads of each process that run searches.")
    reserve_bytes: Count = Field(16_000_000, description="Space kept free so that reads survive a full disk.")
    backup_archive: Path | None = Field(
        None,
        description="Folder, on another disk or machine, that gets base backups and after each everything that is "
        "committed, for restores to an instant (docs/backup.md); empty: none.",
    )
    backup_every: float = Field(2, gt=0, description="Seconds between two looks at what the archive lacks.")
    backup_base_every: Positive = Field(24, description="Hours after which the archive gets a new base backup.")
    backup_keep: Positive = Field(14, description="Days back that a restore from the archive reaches.")
    backup_spool_bytes: Positive = Field(
        1_000_000_000,
        description="Bytes that wait on the local disk, by tenant, for an archive that cannot be written; beyond, they "
        "are dropped, and the next thing that the archive gets is a new base backup.",
    )
    recovery_point_goal: Positive = Field(3_600, description="Seconds of writes that a restore may lack (RPO).")
    recovery_time_goal: Positive = Field(900, description="Seconds until a restored server answers (RTO).")
    checkpoint_pages: Positive = Field(50_000, description="WAL pages (of 4 KB) after which a checkpoint runs.")
    lock_timeout: Positive = Field(30, description="Seconds to wait for the turn to write.")
    clock_skew: Positive = Field(
        300, description="Seconds by which the clock may run ahead of the log before an alarm."
    )
    durable: bool = Field(True, description="fsync each commit group; only tests switch it off.")
    max_text_lag: Positive = Field(5, description="Seconds that a full-text search waits for its index to catch up.")

    @property
    def shared(self) -> bool:
        """Whether nodes with data folders of their own may share the record."""
        return self.storage == "mongodb"

    @property
    def audited(self) -> bool:
        """Whether requests are audited."""
        return self.audit == "on" or (self.audit == "auto" and self.auth != "none")
