"""Whatever a caller asks, the answer is that of a server that never had what they may not see.

Three servers: one has the whole world and the restriction; one has what the naive model says is visible and the same
restriction; one has that and none. Reads are answered alike by all three, writes by the first two.
"""

import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fhir_server.auth.access import Access
from fhir_server.auth.gate import narrowed_to
from fhir_server.auth.grants import Grant
from fhir_server.auth.restriction import Granted, Reach
from fhir_server.auth.scopes import parse_scopes
from fhir_server.definitions import load
from fhir_server.dispatch import Server
from fhir_server.operations.core import core_operations
from fhir_server.operations.registry import Registry
from fhir_server.settings import Settings
from tests.builders import bundle, entry
from tests.conformance.http.fhir import Answer, Fhir, opened
from tests.property.restricted_world import PATIENTS, Json, Model, World, make_world, observation, ref

MANY = "RESTRICTION_SEEDS" in os.environ
SEEDS = int(os.environ.get("RESTRICTION_SEEDS", "1"))
LAB = "category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
VITAL = "category=vital-signs"
CALLERS = (
    Model("patient/*.rs", "ann"),
    Model("patient/*.cruds", "ann"),
    Model("user/*.cruds", "", ("ann",)),
    Model("user/*.rs", "", ("bob", "cas")),
    Model(f"patient/Observation.cruds?{LAB} patient/Patient.rs patient/Flag.rs", "ann"),
    Model(f"patient/Observation.rs?{VITAL} patient/Flag.cruds patient/Binary.r patient/DocumentReference.rs", "bob"),
    Model("user/Observation.cruds user/Patient.rs"),
    Model(f"user/Observation.rs?{LAB} user/List.rs user/Patient.cruds user/Condition.rs"),
    Model("patient/Patient.rs user/Encounter.rs user/Condition.cud", "cas"),
    Model(f"patient/Observation.r?{LAB} patient/Observation.s?{VITAL} patient/Patient.r patient/Condition.s", "ann"),
    Model("system/Patient.rs system/Observation.rs"),
    Model(f"patient/Observation.rs?{LAB} patient/Provenance.rs patient/Task.rs patient/Linkage.rs", "ann"),
)
HALVES = CALLERS[-1:]
"""They see what belongs to something that they do not see; the second server cannot tell whose that is."""


class Doorkeeper:
    """A gate that lets one caller in."""

    def __init__(self, model: Model, server: Server) -> None:
        self._model, self._server = model, server

    async def access(self, tenant: Any, base: str, header: str | None) -> Access:
        model, scopes = self._model, parse_scopes(self._model.scopes)
        grant = Grant("g", "app", user="u", scopes=model.scopes, patient=model.patient, represented=model.represented)
        reach = Reach(scopes, (model.patient,) if model.patient else (), model.represented, "u")
        narrow = partial(narrowed_to, tenant, self._server.settings, self._server.now)
        return Access(grant, scopes, Granted(reach, load(), self._server.settings.shared_types, narrow))


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

    @property
    def even(self) -> bool:
        """Whether searching and reading show the same, and all that there is on the other side."""
        read, found = (self.model.visible(self.world, letter).versions for letter in "rs")
        return read == found == self.visible.versions

    async def read(self, method: str, url: str, body: Any = None, **headers: str) -> None:
        """Ask all three, and follow the pages."""
        sides = (self.whole, self.whole if self.model in HALVES else self.seen)
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
    if not isinstance(shown, tuple) or not isinstance(other[1], tuple) or None not in (shown[1], other[1][1]):
        return plain
    return plain[0], (shown[0], *shown[2:])


async def _filled(stack: AsyncExitStack, engine: str, folder: Path, world: World, model: Model | None) -> Side:
    settings = Settings(data_dir=folder, durable=False)
    fhir = await stack.enter_async_context(opened(engine, settings.model_copy(update={"integrity_on_delete": False})))
    for key, versions in world.versions.items():
        for number, version in enumerate(versions):
            answer = await (fhir.delete(key) if version is None else fhir.put(key, version))
            assert answer.status in (200, 201, 204), (number, answer.body)
    server = replace(fhir.server, settings=settings, operations=Registry(core_operations()))
    if model is not None:
        server = replace(server, gate=Doorkeeper(model, server))  # type: ignore[arg-type]
    return Side(Fhir(server, fhir.clock))


def _params() -> Iterator[tuple[str, int, int]]:
    """Engine, seed, caller; without `RESTRICTION_SEEDS` each caller once."""
    for seed in range(SEEDS):
        for caller in range(len(CALLERS)):
            if MANY or caller % 3 == 0:
                yield "sqlite", seed, caller
            if MANY or caller % 3 != 0:
                yield "memory", seed, caller


@pytest.fixture(params=list(_params()), ids=lambda param: "-".join(map(str, param)))
async def trial(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Trial]:
    engine, seed, caller = request.param
    dice, model = Random(f"{seed} {caller}"), CALLERS[caller]
    world = make_world(dice)
    visible = model.visible(world, "ruds")  # who may change what they may not read can tell that it is there
    async with AsyncExitStack() as stack:
        made = [(world, model, "whole"), (visible, model, "seen"), (visible, None, "plain")]
        sides = [await _filled(stack, engine, tmp_path / name, w, m) for w, m, name in made]
        yield Trial(*sides, world, visible, model, dice)


# --- what is asked


def reads(trial: Trial) -> Iterator[str]:
    dice, keys = trial.dice, [*trial.world.versions, "Observation/never", "Patient/never", "Binary/never"]
    for key in keys:
        yield key
        yield f"{key}/_history"
    yield from (f"{dice.choice(keys)}/_history/99", "_history", "_history?_count=3", "?_type=Patient,Observation,Task")
    for type_ in {key.split("/")[0] for key in keys}:
        yield f"{type_}?_count=2&_total=accurate"
        yield f"{type_}?_summary=count"
        yield f"{type_}/_history?_count=50"
    yield from searches(dice)
    for patient in (*PATIENTS, "never"):
        yield f"Patient/{patient}/Observation?_total=accurate"
        yield f"Patient/{patient}/*?_count=4"
        yield "Encounter/e1/Condition"
        yield f"Patient/{patient}/$everything?_count=5"
        yield f"Patient/{patient}/$meta"
        yield f"Observation/$lastn?patient={patient}"
        yield f"Observation/$stats?subject=Patient/{patient}&code=http://loinc.org|1-8&statistic=count"
    yield from ("$meta", "Observation/$meta", "Patient/$everything?_count=7", "Encounter/e0/$everything")
    yield from (
        "Composition/co0/$document",
        "Composition/co1/$document",
        "Observation/o7/$diff",
        "Observation/o8/$diff",
    )
    for key in dice.sample(keys, 8):
        yield f"{key}/$validate"
        yield f"{key}/$validate?mode=update"
        yield f"{key}/$meta"


def searches(dice: Random) -> Iterator[str]:
    who = [*PATIENTS, "never"]
    yield from (f"Observation?subject=Patient/{who[dice.randint(0, 3)]}&_total=accurate", "Observation?_sort=date,_id")
    yield from (f"Observation?patient.name=F{who[dice.randint(0, 3)]}" for _ in range(2))
    yield from (f"Patient?_has:Observation:subject:code={dice.choice(['1-8', '2-6'])}" for _ in range(2))
    yield from (
        "Patient?_has:Observation:patient:_id=o0,o1,o2,o3,o4,o5",
        "Patient?_has:Group:member:_id=g0,g1,g2",
        "Patient?_has:Observation:subject:performer=Patient/bob",
        "Observation?_include=*&_count=20",
        "Observation?_include=Observation:subject&_include:iterate=Patient:link&_sort=_id",
        "Patient?_revinclude=*&_count=10",
        "Patient?_revinclude=Observation:subject&_revinclude:iterate=Provenance:target&_revinclude=Task:patient",
        "Provenance?_include=Provenance:target&_include:iterate=Observation:performer",
        "List?_include=List:item&item.code=1-8",
        "List?item=Observation/o0,Observation/o1",
        "Task?focus:Observation.code=1-8",
        "Task?_include=*",
        "Provenance?target:Observation.subject:Patient.name=Fann",
        "Slot?schedule.actor:Patient.name=Fbob",
        "Slot?_include=Slot:schedule&_include:iterate=Schedule:actor",
        "Appointment?_include=Appointment:actor&actor=Patient/bob",
        "Binary?_count=1",
        "Binary?_id=x0,x1,x2,x3,x4",
        "DocumentReference?_include=*",
        "DiagnosticReport?result.code=1-8",
        "DiagnosticReport?_include=DiagnosticReport:result",
        "Observation?_list=l0",
        "Patient?_sort=-name&_count=1&_total=accurate",
        "Observation?code:missing=true&_summary=count",
        "Observation?subject:missing=true",
        "Patient?link:missing=false",
        "Observation?_lastUpdated=gt2020-01-01&_count=3",
        "Observation?_id=o0,o1,o2,o3&_elements=code",
        "Bundle?composition.subject:Patient.name=Fann",
        "Observation?_filter=subject.name eq Fbob",
        "Observation?category=laboratory&_count=1",
        "Observation?_tag=x",
        "Observation?_contained=both&_count=3",
        "Patient?_text=Fann",
        "Observation?_content=final",
        "Person?link=Patient/bob",
        "Basic?subject=Patient/cas",
        "?_id=ann,bob,o0,o1,t0",
        "_history?_since=2020-01-01",
        "Observation/_history?_list=l1",
    )


def writes(trial: Trial) -> Iterator[tuple[Any, ...]]:
    dice = trial.dice

    def patient() -> str:
        return dice.choice([*PATIENTS, "never"])

    def body(id_: str | None = None, type_: str = "Observation") -> Json:
        made = observation(patient(), dice) if type_ == "Observation" else {"subject": ref("Patient", patient())}
        made |= {"performer": [ref("Practitioner", "doc")]} if type_ == "Observation" else {}
        return {"resourceType": type_, **({"id": id_} if id_ else {}), **made}

    def some_id(type_: str) -> str:
        return dice.choice(
            [k.split("/")[1] for k in trial.world.versions if k.startswith(f"{type_}/")] + ["never", "n2"]
        )

    for _ in range(8):
        for type_ in ("Observation", "Condition"):
            id_ = some_id(type_)
            yield "PUT", f"{type_}/{id_}", body(id_, type_)
            yield "PATCH", f"{type_}/{id_}", [{"op": "add", "path": "/language", "value": dice.choice(["en", "de"])}]
            yield "POST", type_, body(None, type_)
            yield "PUT", f"{type_}?_id={id_}", body(dice.choice([id_, None]), type_)
            yield "PUT", f"{type_}?subject=Patient/{patient()}", body(some_id(type_), type_)
            yield "POST", type_, body(None, type_), {"if_none_exist": f"subject=Patient/{patient()}"}
            yield "POST", type_, body(None, type_), {"if_none_exist": f"subject.name=F{patient()}&_id={id_}"}
            yield "PATCH", f"{type_}?_id={id_}", [{"op": "add", "path": "/language", "value": "en"}]
            yield "PUT", f"{type_}/{id_}", body(id_, type_), {"if_none_match": "*"}
            yield "PUT", f"{type_}/{id_}", body(id_, type_), {"if_match": 'W/"99"'}
            yield "DELETE", f"{type_}/{id_}", None, {"if_match": 'W/"99"'}
            yield "PUT", f"{type_}/{id_}", body(id_, type_), {"if_match": "*"}
        yield "PATCH", f"Observation/{some_id('Observation')}", [
            {"op": "add", "path": "/subject", "value": ref("Patient", patient())}]  # fmt: skip
        yield "POST", "DocumentReference", {
            "resourceType": "DocumentReference", "status": "current", "subject": ref("Patient", patient()),
            "content": [{"attachment": {"url": f"Binary/{some_id('Binary')}"}}]}  # fmt: skip
        yield "POST", "Task", {"resourceType": "Task", "status": "draft", "intent": "order",
                               "focus": ref("Observation", some_id("Observation"))}  # fmt: skip
        yield "POST", "", _batch(trial, body, some_id, dice.choice(["batch", "transaction"]))
        meta = {"resourceType": "Parameters", "parameter": [
            {"name": "meta", "valueMeta": {"tag": [{"system": "urn:t", "code": "t"}]}}]}  # fmt: skip
        yield "POST", f"Observation/{some_id('Observation')}/$meta-add", meta
        yield "POST", f"Observation/{some_id('Observation')}/$meta-delete", meta
        yield "POST", f"Observation/{some_id('Observation')}/$purge", None
        yield "POST", f"{dice.choice(['Observation', 'Flag', 'Basic'])}/_search", None
    for _ in range(4):
        yield "DELETE", f"Flag/{some_id('Flag')}", None
        yield "DELETE", f"Condition?subject=Patient/{patient()}", None


def _batch(trial: Trial, body: Any, some_id: Any, kind: str) -> Json:
    dice, id_ = trial.dice, some_id("Observation")
    entries = [
        entry("PUT", f"Observation/{id_}", body(id_)),
        entry("GET", f"Observation/{some_id('Observation')}"),
        entry("GET", f"Patient?_has:Observation:subject:_id={some_id('Observation')}"),
        entry("POST", "Observation", body(), ifNoneExist=f"_id={some_id('Observation')}"),
        entry("POST", "Observation", body() | {"subject": {"reference": f"Patient?name=F{dice.choice(PATIENTS)}"}}),
        entry("PUT", f"Condition?_id={some_id('Condition')}", body(None, "Condition")),
        entry("GET", f"Observation/{id_}/_history"),
    ]  # fmt: skip
    return bundle(kind, *dice.sample(entries, 3))


async def test_reads_are_answered_as_if_the_rest_were_not_there(trial: Trial) -> None:
    urls = list(reads(trial))
    for url in urls if MANY else trial.dice.sample(urls, 90):
        await trial.read("GET", url)
        if trial.dice.random() < 0.05:
            await trial.read("POST", "", bundle("batch", entry("GET", url)))


async def test_writes_are_answered_as_if_the_rest_were_not_there(trial: Trial) -> None:
    if trial.model in HALVES:
        return
    asked = list(writes(trial))
    for method, url, body, *headers in asked if MANY else trial.dice.sample(asked, 70):
        await trial.write(method, url, body, **(headers[0] if headers else {}))
    # Not the whole history: who revives what was deleted gets to see what belongs to it, which one side never had.
    for url in (
        "Condition/_history?_count=1000",
        "Observation/_history?_count=1000",
        "Observation?_count=1000&_include=*",
        "Condition?_total=accurate",
    ):
        await trial.write("GET", url)


async def test_old_versions_are_seen_as_the_model_says(trial: Trial) -> None:
    readable = trial.model.visible(trial.world, "r").versions
    for key, versions in trial.world.versions.items():
        letters = parse_scopes(trial.model.scopes).letters(key.split("/")[0])
        for number, version in enumerate(versions, 1):
            answer = (await trial.whole.ask("GET", f"{key}/_history/{number}")).answer
            seen = version in readable.get(key, [])
            expected = 403 if "r" not in letters else 404 if not seen else 410 if version is None else 200
            assert answer.status == expected, (key, number, trial.model)


async def test_letters_hold_apart(trial: Trial) -> None:
    for key, versions in trial.world.versions.items():
        type_, id_ = key.split("/")
        resource = versions[-1]
        if resource is None:
            continue
        letters = parse_scopes(trial.model.scopes).letters(type_)
        read = (await trial.whole.ask("GET", key)).answer
        found = (await trial.whole.ask("GET", f"{type_}?_id={id_}&_total=accurate")).answer
        expected = 403 if "r" not in letters else 200 if trial.model.sees(trial.world, resource, "r") else 404
        assert read.status == expected, key
        if "s" in letters:
            assert found.json["total"] == int(trial.model.sees(trial.world, resource, "s")), key
        else:
            assert found.status == 403
