"""What register hooks return: values that say which part of the server a plugin adds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager

    import httpx

    from fhir_server.model.keys import ResourceKey
    from fhir_server.plugin_host.context import Host, PluginContext

Pairs = tuple[tuple[str, str], ...]


class RouteRequest(Protocol):
    """An HTTP request to a route of a plugin, known to no web framework."""

    @property
    def tenant(self) -> str:
        """Name of the tenant."""

    @property
    def base(self) -> str:
        """URL of the tenant's FHIR endpoint, without a final slash."""

    @property
    def method(self) -> str:
        """HTTP method, in capitals."""

    @property
    def path(self) -> Mapping[str, str]:
        """The parts of the path that the route names, decoded."""

    @property
    def url(self) -> str:
        """The whole URL as the client knows it, without its query."""

    @property
    def root(self) -> str:
        """URL below which the routes of the tenant lie, without a final slash."""

    @property
    def query(self) -> Pairs:
        """Names and values of the query, decoded, in their order."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers; their names are in lower case."""

    @property
    def address(self) -> str:
        """IP address of the client."""

    async def body(self) -> bytes:
        """Return the whole body. Raises TooLarge beyond `max_body`."""

    def stream(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes, of any length."""


@dataclass(frozen=True, slots=True)
class RouteResponse:
    """The answer of a route: bytes, or chunks of them as they become ready."""

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


RouteHandler = Callable[["PluginContext", RouteRequest], Awaitable[RouteResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """Paths of HTTP below the root of each tenant: `/cds-services/{id}`, `/dicomweb/{rest:path}`.

    methods: `GET` answers HEAD too.
    asks: interactions that the caller must be allowed, as (code, resource type): `("search-type", "ImagingStudy")`.
    public: answered without a token; its context sees nothing, and what it does is its plugin's alone.
    scope: one of `register_scopes` that the token must have; empty: none.
    sums_up: its handler records what it shows by `ctx.note`, many requests in one event (the frames of a study); only
        what is refused or fails is an event of its own.
    cross_origin: pages of the origins that may call FHIR may call it; what they ask before comes to a route for
        `OPTIONS` of the same path, which has to say so too.
    """

    path: str
    handler: RouteHandler
    methods: tuple[str, ...] = ("GET",)
    asks: tuple[tuple[str, str | None], ...] = ()
    public: bool = False
    scope: str = ""
    sums_up: bool = False
    cross_origin: bool = False


class Socket(Protocol):
    """An open WebSocket."""

    async def receive(self) -> str | bytes | None:
        """Return the next message; None when the other side has closed."""

    async def send(self, message: str | bytes) -> None:
        """Send a message. Raises ConnectionError when nobody is there any more."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it."""


SocketHandler = Callable[["Host", RouteRequest, Socket], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """A path of WebSockets. The handler lets its caller in: `host.let_in(tenant, token)`."""

    path: str
    handler: SocketHandler
    protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page for people, in the list of pages on the server's first one.

    path: below the root of the tenant, `/console/claims`. handler: answers with HTML. public: see Route.
    """

    path: str
    title: str
    handler: RouteHandler
    asks: tuple[tuple[str, str | None], ...] = ()
    public: bool = False


class Write:
    """A resource about to be written. Most checks look at few of them, so what they do not look at is not parsed.

    Args:
        resource: what gives it as it will be stored; None for a deletion. before: what gives the current version; None
            where there is none.
    """

    __slots__ = ("_before", "_resource", "id", "method", "type")

    def __init__(
        self,
        key: ResourceKey,
        method: Literal["POST", "PUT", "PATCH", "DELETE"],
        resource: Callable[[], Mapping[str, Any]] | None,
        before: Callable[[], Mapping[str, Any]] | None,
    ) -> None:
        self.type, self.id = key
        self.method = method
        self._resource, self._before = resource, before

    @property
    def resource(self) -> Mapping[str, Any] | None:
        """The resource as it will be stored; None for a deletion."""
        return None if self._resource is None else self._resource()

    @property
    def before(self) -> Mapping[str, Any] | None:
        """The current version; None where there is none."""
        return None if self._before is None else self._before()


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of a write; those of severity `error` and `fatal` refuse it.

    code: of https://hl7.org/fhir/R4/valueset-issue-type.html. expression: FHIRPath of the place.
    """

    text: str
    expression: str = ""
    severity: Literal["fatal", "error", "warning", "information"] = "error"
    code: str = "business-rule"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of a write comes to; `resource`, where there is one, is stored instead."""

    findings: Sequence[Finding] = ()
    resource: Mapping[str, Any] | None = None


Check = Callable[["PluginContext", Write], Awaitable["Verdict | None"]]
Show = Callable[["PluginContext", dict[str, Any]], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class WriteCheck:
    """Looks at each write of some types (all, if empty) before it is committed; may refuse or amend it."""

    check: Check
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interceptor:
    """Changes what callers see of resources of some types (all, if empty); it may add labels and remove elements."""

    show: Show
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Background:
    """Work that goes on for as long as the server runs, in one process of the installation alone (a broker's client,
    a DIMSE listener). When it fails it is begun again, later each time."""

    name: str
    run: Callable[[Host], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """Tells whether something works: `check` returns nothing, or raises or returns what is wrong."""

    name: str
    check: Callable[[Host], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Metric:
    """A number for Prometheus; `read` is called when it is asked for and gives values by label values.

    refresh: awaited before, for what lies in the record rather than in the process that is asked.
    """

    name: str
    help: str
    read: Callable[[], Mapping[tuple[str, ...], float]]
    kind: Literal["counter", "gauge"] = "gauge"
    labels: tuple[str, ...] = ()
    refresh: Callable[[Host], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Migration:
    """Brings the records of a collection to a version from the one before; `change` gives the new value of each, None
    removes it. It runs before anything of the plugin does, once for each tenant.

    back: gives the value that the release before had, for `fhir-server upgrade back`; without it the way back is a
        backup. waits: it runs when an upgrade is finished, and until then the plugin reads both kinds and writes the
        old one, so that nodes of the release before may go on beside it.
    """

    collection: str
    version: int
    change: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
    back: Callable[[Mapping[str, Any]], Mapping[str, Any] | None] | None = None
    waits: bool = False


class CommandFailed(Exception):
    """A command that could not do its work; the message says why."""


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand of `fhir-server`; it returns the exit status.

    run: gets the settings of the server. ask: is run instead where it is given, with the local door: to open it gives
        an HTTP client of the server that owns the data folder, as its operator; where none runs, one is started that
        nobody else reaches. `with door() as http: http.get("/fhir/metadata")`. `flags.settings` are those of the
        server. What cannot be done is a CommandFailed. needs_record: values of the argument `action` that make no sense
        without a record; their door opens none in a data folder that has none, such as a mistyped one.
    """

    name: str
    help: str
    run: Callable[[Any, argparse.Namespace], int] = lambda settings, flags: 2
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    ask: Callable[[Callable[[], AbstractContextManager[httpx.Client]], argparse.Namespace], int] | None = None
    needs_record: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class ScopeWords:
    """A scope beyond FHIR's own that clients may ask for, and its plain words for the consent page."""

    name: str
    words: str
