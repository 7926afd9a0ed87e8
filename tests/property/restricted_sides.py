"""Three servers that have to answer alike, and what of an answer counts."""

import json
import re
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from random import Random
from typing import Any

from fhir_server.auth.access import Access
from fhir_server.auth.consent import read_consent
from fhir_server.auth.gate import narrowed_to
from fhir_server.auth.grants import Grant
from fhir_server.auth.limits_of_consent import Bounds, Who
from fhir_server.auth.restriction import Granted, Narrow, Reach
from fhir_server.auth.said import Said
from fhir_server.auth.scopes import parse_scopes
from fhir_server.definitions import load
from fhir_server.dispatch import Server
from fhir_server.operations.core import core_operations
from fhir_server.operations.registry import Registry
from fhir_server.settings import Settings
from tests.conformance.http.fhir import Answer, Fhir, opened
from tests.property.restricted_consents import Consents
from tests.property.restricted_world import Model, World


class Doorkeeper:
    """A gate that lets one caller in."""

    def __init__(self, model: Model, server: Server) -> None:
        self._model, self._server = model, server
        self._made: dict[str, Access] = {}

    async def access(self, tenant: Any, base: str, header: str | None) -> Access:
        """As the gate does, one Access serves many requests: to make its predicates takes longer than a search."""
        if tenant.name not in self._made:
            self._made[tenant.name] = self._access(tenant)
        return self._made[tenant.name]

    def _access(self, tenant: Any) -> Access:
        model, scopes = self._model, parse_scopes(self._model.scopes)
        grant = Grant("g", "app", user="u", scopes=model.scopes, patient=model.patient, represented=model.represented)
        reach = Reach(scopes, (model.patient,) if model.patient else (), model.represented, "u")
        narrow = partial(narrowed_to, tenant, self._server.settings, self._server.now)
        granted = Granted(reach, load(), self._server.settings.shared_types, narrow)
        return Access(
            grant, scopes, granted if model.said is None else granted.within(self._bounds(model.said, narrow))
        )

    def _bounds(self, said: Consents, narrow: Narrow) -> Bounds:
        who = Who(frozenset(("Practitioner/doc",)), frozenset(("TREAT",)), said.labels)
        directives = [directive for each in said.consents if (directive := read_consent(each))]
        now = self._server.now()
        return Bounds(who, Said(directives, now), load(), narrow, said.permits, now)


@dataclass
class Side:
    """One server and the names of what it made."""

    fhir: Fhir
    made: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, url: str, body: Any = None, **headers: str) -> "Seen":
        content_type = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
        answer = await self.fhir(method, url, body, content_type=content_type, **headers)
        return Seen(answer, self._plain(answer))

    def _plain(self, answer: Answer) -> Any:
        """The answer without what depends on time, and with the names of what is new made alike."""
        text = re.sub(rb"new-\d+", lambda found: self._named(found[0].decode()).encode(), answer.body)
        text = re.sub(rb"/_history/\d+|is at version \d+", b"at N", text)  # numbers tell of hidden versions
        text = re.sub(rb"it is referred to by [^\"]*", b"it is referred to", text)  # some of many are named
        try:
            return answer.status, _shown(json.loads(text))
        except ValueError:
            return answer.status, text

    def _named(self, id_: str) -> str:
        return self.made.setdefault(id_, f"made-{len(self.made)}")


@dataclass(frozen=True)
class Seen:
    answer: Answer
    plain: Any

    def next(self) -> str | None:
        if self.answer.status != 200 or b'"relation":"next"' not in self.answer.body or "link" not in self.answer.json:
            return None
        return self.answer.link("next")


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("resourceType") == "Bundle" and "link" in value:
        entries = [_shown(each) for each in value.get("entry", [])]
        if value["type"] == "history":  # it tells the first version from later ones, which have other numbers here
            entries = [(each["fullUrl"], each.get("resource"), each["request"]) for each in entries]
        more = any(link["relation"] == "next" for link in value["link"])
        return value["type"], value.get("total"), more, entries
    left = ("versionId", "lastUpdated", "etag", "lastModified", "timestamp")
    if "resourceType" in value and value["resourceType"] not in ("Parameters", "OperationOutcome", "Bundle"):
        return f"{value['resourceType']}/{value.get('id')}", value.get("meta", {}).get("source")
    if value.get("resourceType") == "Bundle":
        left = (*left, "id", "identifier")
    shown = {name: _shown(each) for name, each in value.items() if name not in left}
    if isinstance(shown.get("location"), str):
        shown["location"] = shown["location"].partition("/_history")[0]
    return shown


@dataclass
class Trial:
    """One world and one caller: `whole` and `seen` are restricted, `plain` is not."""

    whole: Side
    seen: Side
    plain: Side
    world: World
    visible: World
    model: Model
    dice: Random

    @cached_property
    def even(self) -> bool:
        """Whether searching and reading show the same, and all that there is on the other side."""
        read, found = (self.model.visible(self.world, letter).versions for letter in "rs")
        return read == found == self.visible.versions

    async def read(self, method: str, url: str, body: Any = None, **headers: str) -> None:
        """Ask all three, and follow the pages."""
        sides = (self.whole, self.whole if self.model.half else self.seen)
        found = [await side.ask(method, url, body, **headers) for side in sides]
        assert found[0].plain == found[1].plain, (method, url, body)
        open_ = (
            found[0].answer.status not in (403,) and self.even and "$" not in url and b"403" not in found[0].answer.body
        )
        if open_:
            expected = await self.plain.ask(method, url, body, **headers)
            assert _loose(found[0].plain, expected.plain) == _loose(expected.plain, found[0].plain), (method, url, body)
        for _ in range(20):
            links = [each.next() for each in found]
            if None in links:
                assert links == [None, None], url
                return
            found = [await side.ask("GET", link or "") for side, link in zip(sides, links, strict=True)]
            assert found[0].plain == found[1].plain, ("a page of", url)

    async def write(self, method: str, url: str, body: Any = None, **headers: str) -> Any:
        one, other = [await side.ask(method, url, body, **headers) for side in (self.whole, self.seen)]
        assert one.plain == other.plain, (method, url, body, headers)
        return one.plain


def _loose(plain: Any, other: Any) -> Any:
    """A total that was not asked for may be left out where it is not free."""
    shown = plain[1]
    if isinstance(shown, dict) and shown.get("type") == "batch-response" and len(shown["entry"]) == 1:
        inner, outer = [each[1]["entry"][0].get("resource") for each in (plain, other)]
        return plain[0], _loose((0, inner), (0, outer)), shown["entry"][0]["response"]
    if not isinstance(shown, tuple) or not isinstance(other[1], tuple) or None not in (shown[1], other[1][1]):
        return plain
    return plain[0], (shown[0], *shown[2:])


async def filled(
    stack: AsyncExitStack, engine: str, folder: Path, world: World, model: Model | None, beside: World | None = None
) -> Side:
    """Start a server that holds a world; `beside` is what another tenant holds under the same ids."""
    settings = Settings(data_dir=folder, durable=False, hidden_pause=0)
    fhir = await stack.enter_async_context(opened(engine, settings.model_copy(update={"integrity_on_delete": False})))
    await _fill(fhir, world)
    if beside is not None:
        await fhir.server.tenants._stores.create("beside")
        await _fill(Fhir(fhir.server, fhir.clock, "beside"), beside)
    server = replace(fhir.server, settings=settings, operations=Registry(core_operations()))
    tenant = await server.tenants.of("default")
    tenant.settings = settings
    if model is not None:
        server = replace(server, gate=Doorkeeper(model, server))  # type: ignore[arg-type]
    return Side(Fhir(server, fhir.clock))


async def _fill(fhir: Fhir, world: World) -> None:
    for key, versions in world.versions.items():
        for number, version in enumerate(versions):
            answer = await (fhir.delete(key) if version is None else fhir.put(key, version))
            assert answer.status in (200, 201, 204), (number, answer.body)
