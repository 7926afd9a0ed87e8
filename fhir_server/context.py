"""Context: all that an interaction or operation needs, passed in; nothing below dispatch knows more than this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from fhir_server.audit.events import Event
    from fhir_server.auth.mask import Mask
    from fhir_server.definitions import Definitions, OperationFacts
    from fhir_server.errors import Issue
    from fhir_server.model.exchange import FhirRequest, FhirResponse
    from fhir_server.model.keys import ResourceKey
    from fhir_server.model.version import Version
    from fhir_server.packages import Library, Package
    from fhir_server.packages.installed import Installed
    from fhir_server.search.expander import CodeExpander
    from fhir_server.search.indexing import Extractor
    from fhir_server.search.parameters import ParameterRegistry
    from fhir_server.search.query import Node, Visibility
    from fhir_server.settings import Settings
    from fhir_server.storage.base import BlobChange, Change, CommitResult, Condition, RecordChange, Store
    from fhir_server.validation import Validator


Level = Literal["system", "type", "instance"]


class Restriction(Protocol):
    """What one caller may see and do; a predicate joined inside every query, made once in dispatch."""

    @property
    def visibility(self) -> Visibility:
        """The predicate by type for queries."""

    def may(self, interaction: str, type_: str | None) -> bool:
        """Tell whether the interaction is allowed on the type at all."""

    def writable(self, letter: Literal["c", "u", "d"], type_: str) -> Node:
        """Return what must hold of a resource of the type that is created, updated (before and after) or deleted."""

    def permitted(self, type_: str) -> Node:
        """Return what consent and labels ask of a resource that is there, before it may be changed."""

    @property
    def nameable(self) -> Visibility:
        """What a reference may name without being told that there is no such resource."""

    @property
    def mask(self) -> Mask | None:
        """What of each resource is hidden from the caller; None for nothing."""

    @property
    def bound(self) -> bool:
        """Whether all of it is about certain patients: the app of one, or a user who is or represents them."""

    def shows_all(self, type_: str) -> bool:
        """Tell whether what was granted shows each resource of a type, and all of it, but for consent and labels."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the audit names them; `admin` may see plans and erase.

    grant: what they were granted, by id; `*` where nothing is asked for. client: the app. subject: who the user is in
    the record, `Practitioner/1`. user: id of the account. patients: ids of those to whom the grant is bound.
    emergency: whether the grant opens a record past consent and labels. scopes: what the token allows.
    """

    name: str = "anonymous"
    admin: bool = False
    grant: str = "*"
    client: str = ""
    subject: str = ""
    user: str = ""
    roles: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    emergency: bool = False
    scopes: str = ""


class ApplyPatch(Protocol):
    """The patch engines: https://hl7.org/fhir/R4/http.html#patch"""

    def __call__(
        self,
        kind: Literal["json", "fhirpath", "xml", "merge"],
        resource: dict[str, Any],
        patch: bytes | dict[str, Any],
        definitions: Definitions,
    ) -> dict[str, Any]:
        """Return the patched resource; raises BadRequest or InvalidResource where the patch cannot be applied."""


class Route(Protocol):
    """What a path below the base names; see api/routes.py."""

    @property
    def type(self) -> str | None:
        """The resource type, if it names one."""

    @property
    def id(self) -> str | None:
        """The logical id, if it names one."""

    @property
    def vid(self) -> str | None:
        """The version id, if it names one."""

    @property
    def operation(self) -> str | None:
        """The name of the operation, without `$`."""

    @property
    def compartment(self) -> ResourceKey | None:
        """The resource in whose compartment is searched."""

    def interaction(self, method: str) -> str:
        """Return the interaction that a method means here; raises MethodNotAllowed."""


class Router(Protocol):
    """Reads the URLs of Bundle entries as those of HTTP requests are read."""

    def route(self, segments: Sequence[str]) -> Route:
        """Return what the decoded segments below the base name; raises UnknownPath."""


class Operation(Protocol):
    """One operation, ready to run."""

    @property
    def facts(self) -> OperationFacts:
        """What its OperationDefinition says."""

    @property
    def background(self) -> bool:
        """Whether its job may be run again from the start by another process."""

    @property
    def at_once(self) -> int:
        """How many of its jobs run at the same time; 0: as many as jobs may."""

    @property
    def makes_job(self) -> bool:
        """Whether calls that ask to be a job come to its handler, which makes one itself."""

    async def run(self, ctx: Context, request: FhirRequest) -> FhirResponse:
        """Answer a call of it."""


class Operations(Protocol):
    """The operations that this server has."""

    @property
    def facts(self) -> tuple[OperationFacts, ...]:
        """The facts of all of them."""

    def find(self, name: str, type_: str | None, level: Level, /) -> Operation | None:
        """Return the operation `$name` as called on the system, a type or an instance; None if there is none."""


class Commit(Protocol):
    """The way to write resources; records and blobs go with them, all or nothing."""

    def __call__(
        self, changes: Sequence[Change], records: Sequence[RecordChange] = (), blobs: Sequence[BlobChange] = (), /
    ) -> Awaitable[CommitResult]:
        """Write all or nothing. Raises what `Store.commit` does."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A change as it shall be written, and what was found about it that does not stand in its way."""

    change: Change
    issues: tuple[Issue, ...] = ()


class Deciders(Protocol):
    """What plugins decide within requests."""

    @property
    def checks(self) -> bool:
        """Tell whether there is anything that looks at writes."""

    async def check(self, ctx: Context, changes: Sequence[Change]) -> Sequence[Checked]:
        """Return the changes as they shall be written, in their order. Raises InvalidResource: one is refused."""

    @property
    def shows(self) -> bool:
        """Tell whether there is anything that changes what is shown."""

    async def show(self, ctx: Context, response: FhirResponse) -> FhirResponse:
        """Return the answer as the caller may see it."""

    async def version(self, ctx: Context, version: Version) -> Version:
        """Return one version as the caller may see it, for what goes out beside answers."""

    def amend(self, statement: dict[str, Any]) -> dict[str, Any]:
        """Return the CapabilityStatement with what plugins add to it."""


class Auditor(Protocol):
    """Records what a caller does."""

    async def watch(
        self, ctx: Context, request: FhirRequest, handler: Callable[[Context, FhirRequest], Awaitable[FhirResponse]], /,
        *, quiet: bool = False,
    ) -> FhirResponse:  # fmt: skip
        """Run a request and record what came of it; `quiet`: only where it was refused or failed."""

    def acting(self, address: str) -> AbstractContextManager[None]:
        """Have what is written within recorded as the caller's, where no request is under way."""

    def noting(self) -> Callable[[Event], None]:
        """Return what records events as of who asks now; it may be called later."""


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file that a job made: its name, the blob that holds it, its size in bytes, its media type."""

    name: str
    blob: str
    size: int
    media_type: str = "application/octet-stream"


class JobHandle(Protocol):
    """The job that a request runs as, for work that goes on where it was when its process dies."""

    @property
    def id(self) -> str:
        """Its id, as in the URL of its status."""

    @property
    def checkpoint(self) -> Mapping[str, Any]:
        """What `save` was given last; empty at first."""

    @property
    def files(self) -> Sequence[JobFile]:
        """The files that it made so far."""

    async def save(
        self, checkpoint: Mapping[str, Any], files: Sequence[JobFile] = (), records: Sequence[RecordChange] = ()
    ) -> None:
        """Write how far it came, all or nothing: the next run begins with this checkpoint. `files` are added to those
        that it has; their staged blobs stay as long as the job is kept."""


class Jobs(Protocol):
    """Long work that outlives its request."""

    async def submit(self, ctx: Context, request: FhirRequest) -> FhirResponse:
        """Run the request as a job, without its `respond-async`; the answer is 202 with the status URL in
        `Content-Location`.

        Spec: https://hl7.org/fhir/R4/async.html
        """

    async def declare(self, store: Store) -> None:
        """Make the records of jobs known to a store, once."""

    def cancel(self, job_id: str) -> None:
        """Stop a job if it runs in this process."""


class Packages(Protocol):
    """The IG packages of the tenant."""

    @property
    def all(self) -> Sequence[Package]:
        """All that are in force: those of the tenant, then those of the installation."""

    def removable(self, package: Package) -> bool:
        """Tell whether the tenant installed it."""

    async def install(self, data: bytes, *, replace: bool) -> Installed:
        """Install a .tgz; raises PackageError or AlreadyInstalled."""

    async def uninstall(self, name: str) -> bool:
        """Remove `name#version`; tell whether it was installed."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One write, planned but not committed: its changes and what the answer will speak of.

    key: the resource that the write is about; None for a conditional delete that found nothing.
    conditions: facts that must hold although nothing is written for them (a conditional create that found its match).
    found: the version to answer with where there is nothing to write.
    guessed: the expected versions were just read, not named by the client: when they change, plan again.
    issues: findings about what is written that do not stand in its way, where the client wants to read them.
    """

    changes: tuple[Change, ...]
    key: ResourceKey | None
    conditions: tuple[Condition, ...] = ()
    found: Version | None = None
    guessed: bool = False
    issues: tuple[Issue, ...] = ()


def _unheard(done: int, of: int) -> None:
    """Nobody watches a request that is answered at once."""


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of the server as one request sees them.

    now: milliseconds since 1970 UTC. new_id: a fresh logical id.
    parameters, extractor: the search parameters in force, custom ones included, and what makes index entries by them.
    library: the conformance resources in force: stored ones, those of packages, those of R4.
    terminology: lists codes for `:in`, `:below` and the like; None where there is none.
    packages: the IG packages in force, and the way to install others.
    execute: run another request as this caller (a batch entry).
    commit: the way to write resources; it also makes known which definitions changed.
    base: the absolute URL of the endpoint; absolute references under it are references to this server.
    link_secret: signs page links, the same in all workers.
    jobs: None where nothing runs jobs; then `respond-async` is ignored.
    auditor: records each request; None where nothing is audited.
    tenant: its name. deciders: what plugins decide; None where no plugin does.
    progress: within a job, says how far the work came: `progress(done, of)`.
    job: within a job of an operation that may be run again, where to keep how far it came; else None.
    """

    store: Store
    settings: Settings
    definitions: Definitions
    parameters: ParameterRegistry
    extractor: Extractor
    library: Library
    validator: Validator
    terminology: CodeExpander | None
    packages: Packages
    operations: Operations
    router: Router
    apply_patch: ApplyPatch
    caller: Caller
    restriction: Restriction
    now: Callable[[], int]
    new_id: Callable[[], str]
    execute: Callable[[FhirRequest], Awaitable[FhirResponse]]
    commit: Commit
    base: str
    link_secret: bytes
    jobs: Jobs | None = None
    auditor: Auditor | None = None
    tenant: str = "default"
    deciders: Deciders | None = None
    progress: Callable[[int, int], None] = _unheard
    job: JobHandle | None = None

    @property
    def in_job(self) -> bool:
        """Tell whether the request runs as a job already."""
        return self.progress is not _unheard
