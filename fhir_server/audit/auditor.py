"""Auditor: watches the requests of one caller, so that each leaves one event, and a write one for each resource."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlencode

from fhir_server.audit.events import BREAKING, PLUGIN, Agent, Event, agent_text, helped_by, own_keys, plain, row_of
from fhir_server.audit.patients import asked_for, mentioned, patients_of
from fhir_server.audit.recorder import Book, Recorder
from fhir_server.context import Caller, Commit, Context
from fhir_server.definitions import Definitions
from fhir_server.errors import FhirError
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.version import Version
from fhir_server.storage.audit import AuditRow
from fhir_server.storage.base import Audit, BlobChange, Change, CommitResult, RecordChange, Store, Written
from fhir_server.telemetry.numbers import AUDIT_ROWS

Handler = Callable[[Context, FhirRequest], Awaitable[FhirResponse]]

_WRITES: Final = frozenset(("create", "update", "patch", "delete", "transaction"))
_MANY: Final = frozenset(
    ("search-type", "search-system", "search-compartment", "history-instance", "history-type", "history-system",
     "operation")
)  # fmt: skip
_METHODS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_LONGEST_QUERY: Final = 2_000
_PURPOSE: Final = "x-purpose-of-use"
_MOST_VERSIONS: Final = 20_000
_PUBLIC: Final = frozenset(("capabilities",))


@dataclass(slots=True)
class _Trail:
    """A request under way: who asks, as text and as keys of rows, and whether its events went with a commit."""

    agent: str
    keys: tuple[str, ...]
    request: FhirRequest
    purpose: str
    written: bool = False


_trail: ContextVar[_Trail | None] = ContextVar("fhir_server.audit.trail", default=None)


class Auditor:
    """Watches for one caller in one tenant."""

    def __init__(self, recorder: Recorder, book: Book, facts: Definitions, caller: Caller) -> None:
        self._recorder, self._book, self._facts, self._caller = recorder, book, facts, caller
        self._from: tuple[str, tuple[str, tuple[str, ...]]] | None = None
        """Where the caller was last, and what rows say of them there."""

    @contextmanager
    def acting(self, address: str) -> Iterator[None]:
        """Have what is written within recorded as the caller's, where no request is under way."""
        if _trail.get() is not None:
            yield
            return
        before = _trail.set(self._begin(FhirRequest("POST", "transaction", "", address=address or "local")))
        try:
            yield
        finally:
            _trail.reset(before)

    def noting(self) -> Callable[[Event], None]:
        """Return what records events as of who asks now, from where they ask now; it may be called later.

        It raises Busy where nothing can be recorded any more.
        """
        trail = _trail.get() or self._begin(FhirRequest("POST", "transaction", ""))

        def note(event: Event) -> None:
            self._recorder.check(self._book)
            self._recorder.add(self._book, (self._recorder.now(), trail.agent, event, trail.keys))

        return note

    async def watch(
        self, ctx: Context, request: FhirRequest, handler: Handler, *, quiet: bool = False
    ) -> FhirResponse:  # fmt: skip
        """Run a request and record what came of it; `quiet`: only where it was refused or failed, for the handler sums
        up the others by `note`.

        Raises:
            Busy: nothing can be recorded any more.
            FhirError: as the handler.
        """
        if request.interaction in _PUBLIC:
            return await handler(ctx, request)
        self._recorder.check(self._book)
        trail = self._begin(request)
        before = _trail.set(trail)
        status = 500
        response: FhirResponse | None = None
        try:
            response = await handler(ctx, request)
            status = response.status
            return response
        except FhirError as error:
            status = error.status
            raise
        finally:
            _trail.reset(before)
            if not (quiet and status < 400) and not (trail.written and request.interaction in _WRITES):
                self._add(trail, self._event(trail, status, response))

    def around(self, store: Store, commit: "CommitAudited") -> Commit:
        """Return a commit that records the write in its own transaction."""

        async def audited(
            changes: Sequence[Change], records: Sequence[RecordChange] = (), blobs: Sequence[BlobChange] = (), /
        ) -> CommitResult:
            trail = _trail.get() or _own()
            of = [(change, await self._patients_written(store, change)) for change in changes]
            result = await commit(changes, records, blobs, audit=lambda written: self._rows(trail, of, written))
            trail.written = True
            AUDIT_ROWS.add("commit", by=len(of) + (trail.request.interaction == "transaction"))
            return result

        return audited

    def _begin(self, request: FhirRequest) -> _Trail:
        outer, address = _trail.get(), request.address
        purpose = BREAKING if self._caller.emergency else plain(request.headers.get(_PURPOSE, "")[:64])
        caller = self._caller
        if outer is not None and not address:
            who = helped_by(outer.agent, caller.client) if caller.client.startswith(PLUGIN) else outer.agent
            return _Trail(who, outer.keys, request, purpose or outer.purpose)
        last = self._from
        if last is None or last[0] != address:
            agent = agent_of_caller(caller, address)
            last = self._from = address, (agent_text(agent), own_keys(agent))
        return _Trail(*last[1], request, purpose)

    def _add(self, trail: _Trail, event: Event) -> None:
        self._recorder.add(self._book, (self._recorder.now(), trail.agent, event, trail.keys))

    def _event(self, trail: _Trail, status: int, response: FhirResponse | None) -> Event:
        request = trail.request
        version = response.version if response is not None else None
        if version is not None:
            patients = self._patients_of(version)
            if not request.operation and request.interaction not in _MANY:
                type_, id_ = version.key
                return Event(
                    request.interaction, status, f"{type_}/{id_}", version.version, patients, request.request_id,
                    "", trail.purpose,
                )  # fmt: skip
            count = 0
        else:
            patients, count = self._patients(request, response)
        return Event(
            request.interaction, status, _entity(request, version), version.version if version else 0, patients,
            request.request_id, _query(request), trail.purpose, plain(request.operation or ""), count,
        )  # fmt: skip

    def _patients_of(self, version: Version) -> tuple[str, ...]:
        """Return whom a version is about; those read lately are remembered, for versions never change."""
        known = self._book.patients
        found = known.get(version.pid)
        if found is None:
            if len(known) >= _MOST_VERSIONS:
                known.clear()
            found = known[version.pid] = patients_of(self._facts, version.key.type, version.body.data)
        return found

    def _patients(self, request: FhirRequest, response: FhirResponse | None) -> tuple[tuple[str, ...], int]:
        """Return whom the event is about: those asked for, and those in the answer; and how many, where not all."""
        asked = asked_for(request.type, request.query) if request.query else ()
        if request.compartment is not None and request.compartment.type == "Patient":
            asked = (request.compartment.id, *asked)
        if request.type == "Patient" and request.id is not None:
            asked = (request.id, *asked)
        if response is None or request.interaction not in _MANY or not response.body:
            return asked, 0
        found, count = mentioned(b"".join(response.body))
        return tuple(dict.fromkeys((*asked, *found))), count if count > len(found) else 0

    def _rows(self, trail: _Trail, of: Sequence["_Of"], written: Sequence[Written]) -> list[AuditRow]:
        """Return the events of a write: one for each resource, and one for the transaction that it came in."""
        now, request = self._recorder.now(), trail.request
        events = [_written(each, result, trail) for each, result in zip(of, written, strict=True)]
        if request.interaction == "transaction":
            events.append(Event("transaction", request=request.request_id, purpose=trail.purpose))
        return [row_of(now, trail.agent, event, trail.keys) for event in events]

    async def _patients_written(self, store: Store, change: Change) -> tuple[str, ...]:
        """Return whom a change is about; for a deletion, whom the deleted was about."""
        if change.method != "DELETE":
            return patients_of(self._facts, change.key.type, change.body.data)
        current = await store.read(change.key)
        return patients_of(self._facts, change.key.type, current.body.data) if current is not None else ()


def agent_of_caller(caller: Caller, address: str) -> Agent:
    """Return a caller as agent of an event; who has not signed in has no name."""
    user = caller.user or ("" if caller.name in ("anonymous", caller.client) else caller.name)
    return Agent(plain(user), caller.subject, plain(caller.client), caller.grant.strip("*"), address, caller.roles)


_Of = tuple[Change, tuple[str, ...]]


class CommitAudited(Protocol):
    """A commit that takes its events along."""

    def __call__(
        self,
        changes: Sequence[Change],
        records: Sequence[RecordChange] = (),
        blobs: Sequence[BlobChange] = (),
        /,
        *,
        audit: Audit,
    ) -> Awaitable[CommitResult]:
        """Write all or nothing, with the rows that `audit` makes of what it came to."""


def _own() -> _Trail:
    """Return the trail of what the server does by itself."""
    return _Trail(agent_text(Agent("server")), (), FhirRequest("POST", "transaction", ""), "")


def _written(of: "_Of", result: Written, trail: _Trail) -> Event:
    change, patients = of
    version = result.version
    code = "create" if result.created else _METHODS[change.method]
    status = 201 if result.created else 200
    if code == "create" and not result.created:
        code = trail.request.interaction
    number = version.version if version is not None else 0
    request = trail.request.request_id
    return Event(code, status, str(change.key), number, patients, request, purpose=trail.purpose)


def _entity(request: FhirRequest, version: Version | None) -> str:
    if version is not None:
        return str(version.key)
    if request.id is not None and request.type is not None:
        return plain(str(request.key))
    return request.type or ""


def _query(request: FhirRequest) -> str:
    """Return what was asked for, relative to the endpoint: of a search, a history or an operation."""
    if request.interaction not in _MANY:
        return ""
    path = "/".join(part for part in (str(request.compartment or ""), request.type or "", request.id or "") if part)
    if request.operation:
        path = f"{path}/${request.operation}" if path else f"${request.operation}"
    text = f"{path}?{urlencode(request.query, errors='replace')}" if request.query else path
    return plain(text[:_LONGEST_QUERY])
