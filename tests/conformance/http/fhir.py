"""A server without HTTP: requests as a client words them, through `dispatch`, on a store of choice."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fhir_server.api.routes import Router
from fhir_server.api.xml import json_to_xml, xml_to_json
from fhir_server.definitions import load
from fhir_server.dispatch import Server, dispatch
from fhir_server.errors import FhirError
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.patching import make_apply_patch
from fhir_server.interactions.tenants import Tenants
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.json import decode
from fhir_server.search.entries import IndexEntries
from fhir_server.search.indexing import Extractor
from fhir_server.search.parameters import ParameterRegistry
from fhir_server.settings import Settings
from fhir_server.storage.base import StoreProvider
from fhir_server.storage.memory import MemoryProvider
from fhir_server.storage.sqlite.provider import SqliteProvider

BASE = "http://test/fhir"
START = 1_700_000_000_000


class Clock:
    """Milliseconds that stand still unless told to go on."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


class NoOperations:
    """A registry without operations."""

    facts = ()

    def find(self, name: str, type_: str | None, level: str, /) -> None:
        """Find nothing."""


@dataclass
class Answer:
    """A response as a test looks at it."""

    status: int
    body: bytes
    response: FhirResponse | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def version(self) -> int:
        assert self.response is not None and self.response.version is not None
        return self.response.version.version

    @property
    def id(self) -> str:
        assert self.response is not None and self.response.version is not None
        return self.response.version.key.id

    @property
    def entries(self) -> list[Any]:
        return self.json.get("entry", [])

    @property
    def resources(self) -> list[Any]:
        return [entry["resource"] for entry in self.entries]

    @property
    def ids(self) -> list[str]:
        return [resource["id"] for resource in self.resources]

    @property
    def text(self) -> str:
        """All that an outcome says."""
        return " ".join(issue.get("diagnostics", "") for issue in self.json["issue"])

    @property
    def expressions(self) -> list[str]:
        """The places of errors; there may be warnings beside them."""
        errors = [issue for issue in self.json["issue"] if issue["severity"] in ("error", "fatal")]
        return [expression for issue in errors for expression in issue.get("expression", [])]

    def link(self, relation: str) -> str | None:
        return next((link["url"] for link in self.json["link"] if link["relation"] == relation), None)


class Fhir:
    """A client of one server."""

    def __init__(self, server: Server, clock: Clock, tenant: str = "default") -> None:
        self.server, self.clock, self.tenant = server, clock, tenant
        self._router = Router(server.definitions)

    async def __call__(
        self, method: str, url: str, body: Any = None, *, content_type: str = "application/fhir+json", **headers: str
    ) -> Answer:
        """Ask; header names have `_` for `-`. A body may be JSON or bytes."""
        parts = urlsplit(url.removeprefix(BASE))
        route = self._router.route([part for part in parts.path.split("/") if part])
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        interaction = route.interaction(method)
        if interaction == "batch" and b'"transaction"' in raw:
            interaction = "transaction"
        request = FhirRequest(
            method, interaction, BASE, route.type, route.id, route.vid, route.operation, route.compartment,
            tuple(parse_qsl(parts.query, keep_blank_values=True)),
            {name.replace("_", "-").lower(): value for name, value in headers.items()}, raw, content_type,
            self.tenant,
        )  # fmt: skip
        try:
            response = await dispatch(self.server, request)
        except FhirError as error:
            return Answer(error.status, outcome(error.issues), headers=error.headers)
        return Answer(response.status, b"".join(response.body), response, response.headers)

    async def get(self, url: str, **headers: str) -> Answer:
        return await self("GET", url, **headers)

    async def post(self, url: str, body: Any, **headers: str) -> Answer:
        return await self("POST", url, body, **headers)

    async def put(self, url: str, body: Any, **headers: str) -> Answer:
        return await self("PUT", url, body, **headers)

    async def delete(self, url: str, **headers: str) -> Answer:
        return await self("DELETE", url, **headers)

    async def put_all(self, *resources: Any) -> None:
        """Store resources under their own ids."""
        for resource in resources:
            answer = await self.put(f"{resource['resourceType']}/{resource['id']}", resource)
            assert answer.status in (200, 201), answer.body


Serve = Callable[..., Awaitable[Fhir]]
"""Starts a server with settings of choice."""


def make(stores: StoreProvider, clock: Clock, settings: Settings) -> Fhir:
    """Make a server on a store, with ids `new-1`, `new-2` ..."""
    numbers = count(1)
    server = Server(
        settings=settings,
        definitions=load(),
        tenants=Tenants(stores, settings, clock),
        router=Router(load()),
        operations=NoOperations(),
        apply_patch=make_apply_patch(json_to_xml, xml_to_json),
        now=clock,
        new_id=lambda: f"new-{next(numbers)}",
    )
    return Fhir(server, clock)


def memory(settings: Settings | None = None) -> Fhir:
    """Make a server on a fresh memory store."""
    settings = settings or Settings()
    clock = Clock()
    return make(MemoryProvider(settings, clock), clock, settings)


ENGINES = ("memory", "sqlite")


_extractor = Extractor(ParameterRegistry.standard())


def _extract(type_: str, data: bytes) -> IndexEntries:
    return _extractor.extract(type_, decode(data))


@asynccontextmanager
async def opened(engine: str, settings: Settings) -> AsyncIterator[Fhir]:
    """Open a server on an engine by name, and close its store afterwards."""
    clock = Clock()
    stores: StoreProvider = MemoryProvider(settings, clock)
    if engine == "sqlite":
        stores = SqliteProvider(settings.data_dir, settings, clock, _extract)
    try:
        yield make(stores, clock, settings)
    finally:
        await stores.close()
