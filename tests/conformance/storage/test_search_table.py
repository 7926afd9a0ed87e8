"""What a search finds: a row for each sentence of https://hl7.org/fhir/R4/search.html, on every engine."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from fhir_server.errors import BadValue
from fhir_server.search.query import TokenValue
from tests.conformance.storage.engines import ENGINES
from tests.conformance.storage.library import LIBRARY, LOINC, SNOMED, UCUM
from tests.conformance.storage.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

K = f"|{UCUM}|"


class Expander:
    """A little terminology: `1` and `2` are below `top`."""

    def codes_in(self, value_set: str) -> Sequence[TokenValue]:
        sets = {
            "http://vs/body": [TokenValue(LOINC, "29463-7"), TokenValue("urn:c", "1")],
            "http://vs/none": [],
        }
        if value_set not in sets:
            raise BadValue(f"no value set {value_set}")
        return sets[value_set]

    def ancestors(self, system: str, code: str) -> Sequence[TokenValue]:
        return [TokenValue(system, code), *([TokenValue("urn:c", "1")] if code == "narrow" else [])]

    def descendants(self, system: str, code: str) -> Sequence[TokenValue]:
        return [TokenValue(system, code), *([TokenValue(LOINC, "29463-7")] if code == "wide" else [])]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A store that holds the library, written in several commits, with one superseded and one deleted resource."""
    folder: Path = tmp_path_factory.mktemp(str(request.param))
    world = await open_world(request.param, folder)
    world.expander = Expander()
    await world.put(*({**resource, "language": "de"} for resource in LIBRARY[:8]))
    for start in range(0, len(LIBRARY), 7):
        await world.put(*LIBRARY[start : start + 7])
    yield world
    await world.store.close()


def _on_the_day(time: str) -> str:
    """Return a search value for a time of the day of the slot."""
    prefix, clock = (time[:2], time[2:]) if time[:2].isalpha() else ("", time)
    return f"{prefix}2020-05-01T{clock}Z" if ":" in clock else time


ALL = "ann bob cid dan"
TABLE = {
    "string": [
        ("Patient?name=o'brien", "ann"),
        ("Patient?name=OBRIEN", "ann"),
        ("Patient?name=mull", "bob cid"),
        ("Patient?name=Müller", "bob cid"),
        ("Patient?name=iller", ""),
        ("Patient?name:contains=ULLER", "bob cid"),
        ("Patient?name:contains=smith", "ann"),
        ("Patient?name:contains=great", "cid"),
        ("Patient?name:exact=Müller", "bob"),
        ("Patient?name:exact=muller", "cid"),
        ("Patient?name:exact=mull", ""),
        ("Patient?given=maria", "ann"),
        ("Patient?name=ann,bob", "ann bob cid"),
        ("Patient?name=ann&name=muller", "cid"),
        ("Patient?name=Cid\\, the", "cid"),
        ("Patient?address=koln", "ann"),
        ("Patient?address-city=köln", "ann"),
        ("Patient?address-postalcode=5066", "ann"),
        ("Patient?family=x", ""),
    ],
    "token": [
        ("Patient?gender=male", "bob"),
        ("Patient?gender=http://hl7.org/fhir/administrative-gender|male", "bob"),
        ("Patient?gender=urn:other|male", ""),
        ("Patient?gender=male,female", "ann bob"),
        ("Patient?active=true", "ann"),
        ("Patient?active=false", "bob"),
        ("Patient?deceased=true", "bob cid"),
        ("Patient?deceased=false", "ann dan"),
        ("Patient?identifier=111", "ann cid"),
        ("Patient?identifier=urn:mrn|111", "ann"),
        ("Patient?identifier=|111", "cid"),
        ("Patient?identifier=urn:mrn|", "ann bob"),
        ("Patient?identifier=urn:ssn|111", ""),
        ("Patient?identifier=urn:ssn|222,urn:mrn|222", "ann bob"),
        ("Patient?email=ann@example.org", "ann"),
        ("Patient?telecom=ann@example.org", "ann"),
        ("Patient?_tag=urn:tag|vip", "ann"),
        ("Patient?_tag=vip", "ann"),
        ("Observation?code=29463-7", "weight grams"),
        (f"Observation?code={LOINC}|29463-7", "weight grams"),
        (f"Observation?code={LOINC}|", "weight grams pressure"),
        ("Observation?code=|no-system", "coded"),
        ("Observation?code=no-system", "coded"),
        ("Observation?code=|29463-7", ""),
        ("Observation?status=preliminary", "own"),
        ("Observation?combo-code=8480-6", "pressure"),
        ("Observation?value-concept=260385009", "coded"),
    ],
    "token modifiers": [
        ("Patient?gender:not=male", "ann cid dan"),
        ("Patient?gender:not=male,female", "cid dan"),
        ("Patient?gender:not=male&gender:not=female", "cid dan"),
        ("Patient?identifier:not=urn:mrn|111", "bob cid dan"),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|111", "ann"),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|222", "bob"),
        ("Patient?identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|SS|111", ""),
        ("Observation?code:in=http://vs/body", "weight grams below"),
        ("Observation?code:not-in=http://vs/body", "pressure coded own"),
        ("Observation?code:in=http://vs/none", ""),
        ("Observation?code:below=urn:c|wide", "weight grams"),
        ("Observation?code:above=urn:c|narrow", "below"),
    ],
    "text": [
        ("Observation?code:text=body", "weight"),
        ("Observation?code:text=weight body", "weight"),
        ("Observation?code:text=some", "coded"),
        ("Observation?code:text=find", "coded"),
        ("Observation?code:text=inding", ""),
        ("Observation?value-concept:text=result", "coded"),
        ("Observation?category:text=vital", "weight"),
    ],
    "missing": [
        ("Patient?gender:missing=true", "cid dan"),
        ("Patient?gender:missing=false", "ann bob"),
        ("Patient?name:missing=true", "dan"),
        ("Patient?birthdate:missing=true", "dan"),
        ("Patient?organization:missing=false", "ann bob"),
        ("Patient?_id:missing=false", ALL),
        ("Patient?_id:missing=true", ""),
        ("Observation?subject:missing=false", "weight grams pressure below coded own"),
        ("Observation?value-quantity:missing=true", "pressure coded"),
        ("Observation?code:missing=true", ""),
        ("Location?near:missing=true", "nowhere wing room"),
        ("RiskAssessment?probability:missing=false", "risk low-risk range-risk"),
        ("PlanDefinition?depends-on:missing=false", "plan plain"),
    ],
    "date": [
        ("Patient?birthdate=1974-12-25", "ann"),
        ("Patient?birthdate=1974-12", "ann bob"),
        ("Patient?birthdate=1974", "ann bob"),
        ("Patient?birthdate=ne1974-12", "cid"),
        ("Patient?birthdate=ne1974-12-25", "bob cid"),
        ("Patient?birthdate=gt1974-12-25", "bob cid"),
        ("Patient?birthdate=gt1974", "cid"),
        ("Patient?birthdate=ge1974-12-25", "ann bob cid"),
        ("Patient?birthdate=lt1974-12-25", "bob"),
        ("Patient?birthdate=le1974-12-25", "ann bob"),
        ("Patient?birthdate=lt1975", "ann bob"),
        ("Patient?birthdate=sa1974-12-25", "cid"),
        ("Patient?birthdate=sa1974-12-24", "ann cid"),
        ("Patient?birthdate=eb1974-12-26", "ann"),
        ("Patient?birthdate=eb1975", "ann bob"),
        ("Patient?birthdate=ge1974-12-20&birthdate=le1974-12-26", "ann bob"),
        ("Patient?birthdate=1974-12-25,1975", "ann cid"),
        ("Patient?death-date=2020-03-01T09:00:00Z", "cid"),
        ("Patient?death-date=2020-03-01T10:00:00%2B01:00", "cid"),
        ("Patient?death-date=2020-03-01T10:00:00Z", ""),
        ("Observation?date=2020-01-15", "weight grams coded"),
        ("Observation?date=2020-01-15T10:30", "weight"),
        ("Observation?date=2020-01-15T08:30:00.500Z", "coded"),
        ("Observation?date=2020-01", "weight grams pressure coded"),
        ("Observation?date=ap2020-01-15", "weight grams pressure coded below"),
        ("Observation?date=2020-01-15T10:30:00.000Z", ""),
        *(
            (f"Slot?start={asked}", found)
            for found, each in {
                "slot": "2020-05-01 10:00 10:00:00 10:00:00.0 10:00:00.000000 ge10:00:00.000 le10:00:00.000 "
                "lt10:00:00.001 eb10:00:00.001 gt09:59:59.999 sa09:59:59.999 ne10:00:00.500",
                "": "10:00:00.500 ne10:00:00.000 ne10:00 gt10:00:00.000 sa10:00:00.000 lt10:00:00.000 eb10:00:00.000",
            }.items()
            for asked in map(_on_the_day, each.split())
        ),
        ("Encounter?date=2020-01", "enc"),
        ("Encounter?date=2020-01-15", ""),
        ("Encounter?date=ge2020-01-15", "enc open"),
        ("Encounter?date=gt2030", "open"),
        ("Encounter?date=lt2020-01-11", "enc"),
        ("Encounter?date=le2020-02", "enc"),
        ("Encounter?date=sa2020-01-15", "open"),
        ("Encounter?date=eb2020-02-01", "enc"),
        ("Encounter?date=eb2030", "enc"),
        ("Encounter?date=ne2020-01", "open"),
    ],
    "number": [
        ("RiskAssessment?probability=100", "risk"),
        ("RiskAssessment?probability=100.00", "risk"),
        ("RiskAssessment?probability=1e2", "risk"),
        ("RiskAssessment?probability=99.6", ""),
        ("RiskAssessment?probability=gt99.6", "risk"),
        ("RiskAssessment?probability=gt100", ""),
        ("RiskAssessment?probability=ge100", "risk"),
        ("RiskAssessment?probability=lt100", "low-risk range-risk"),
        ("RiskAssessment?probability=le0.4", "low-risk"),
        ("RiskAssessment?probability=0.4", "low-risk"),
        ("RiskAssessment?probability=ne100", "low-risk range-risk"),
        ("RiskAssessment?probability=ap105", "risk"),
        ("RiskAssessment?probability=gt15", "risk range-risk"),
        ("RiskAssessment?probability=lt15", "low-risk range-risk"),
        ("RiskAssessment?probability=sa15", "risk"),
        ("RiskAssessment?probability=eb15", "low-risk"),
        ("RiskAssessment?probability=15", ""),
    ],
    "quantity": [
        (f"Observation?value-quantity=70{K}kg", "weight grams"),
        (f"Observation?value-quantity=70000{K}g", "weight grams"),
        (f"Observation?value-quantity=70.4{K}kg", ""),
        ("Observation?value-quantity=70||kg", "weight"),
        ("Observation?value-quantity=70", "weight"),
        (f"Observation?value-quantity=gt69{K}kg", "weight grams"),
        (f"Observation?value-quantity=gt70{K}kg", ""),
        (f"Observation?value-quantity=ge70{K}kg", "weight grams"),
        (f"Observation?value-quantity=ap66{K}kg", "weight grams"),
        (f"Observation?value-quantity=lt4{K}mg", "below"),
        (f"Observation?value-quantity=lt0.004{K}g", "below"),
        (f"Observation?value-quantity=ge5{K}mg", "weight grams"),
        (f"Observation?value-quantity=5{K}mg", ""),
        ("Observation?value-quantity=5.4||widgets", "own"),
        ("Observation?value-quantity=5.4", "own"),
        ("Observation?value-quantity=5.40||widgets", "own"),
        ("Observation?value-quantity=5||widgets", "own"),
        ("Observation?value-quantity=5.0||widgets", ""),
        (f"Observation?value-quantity=5.4{K}widgets", ""),
        ("Observation?component-value-quantity=120||mm[Hg]", "pressure"),
        (f"Observation?combo-value-quantity=gt100{K}mm[Hg]", "pressure"),
    ],
    "uri": [
        ("ValueSet?url=http://acme.org/fhir/ValueSet/123", "vs1"),
        ("ValueSet?url=http://acme.org/fhir/ValueSet", ""),
        ("ValueSet?url:below=http://acme.org/fhir", "vs1 vs2 vs3"),
        ("ValueSet?url:below=http://acme.org/fhir/", "vs1 vs2"),
        ("ValueSet?url:below=http://acme.org/fhir/ValueSet/123", "vs1"),
        ("ValueSet?url:above=http://acme.org/fhir/ValueSet/123/_history/5", "vs1 vs3"),
        ("ValueSet?url=urn:oid:1.2.3", "vs4"),
        ("ValueSet?url=urn:oid:1.2.3,http://acme.org/fhir", "vs3 vs4"),
        ("Patient?_source=http://lab.example.org/feed", "bob"),
        ("Patient?_profile=http://example.org/fhir/sd/p", "ann"),
    ],
    "reference": [
        ("Observation?subject=Patient/ann", "weight pressure own"),
        ("Observation?subject=ann", "weight pressure own"),
        ("Observation?subject=http://example.org/fhir/Patient/ann", "weight pressure own"),
        ("Observation?subject:Patient=ann", "weight pressure own"),
        ("Observation?subject:Group=ann", ""),
        ("Observation?subject=Group/ann", ""),
        ("Observation?patient=ann", "weight pressure own"),
        ("Observation?subject=Patient/ann,Patient/bob", "weight pressure own grams"),
        ("Observation?subject=inner", ""),
        ("Observation?performer=http://elsewhere.org/fhir/Practitioner/x", "coded"),
        ("Observation?performer=Practitioner/x", ""),
        ("Observation?subject:identifier=urn:mrn|111", "below"),
        ("Observation?subject:identifier=111", "below"),
        ("Observation?subject:identifier=urn:other|111", ""),
        ("Observation?subject=nobody", ""),
        ("AuditEvent?entity=Observation/weight", "audit"),
        ("AuditEvent?entity=Observation/weight/_history/3", "audit"),
        ("AuditEvent?entity=Observation/weight/_history/2", ""),
        ("PlanDefinition?depends-on=http://acme.org/fhir/Library/one", "plan plain"),
        ("PlanDefinition?depends-on=http://acme.org/fhir/Library/one|1.0", "plan"),
        ("PlanDefinition?depends-on=http://acme.org/fhir/Library/one|2.0", ""),
        ("Patient?general-practitioner=Practitioner/doc", "ann"),
        ("Patient?link=Patient/bob", "cid"),
        ("Procedure?location=cologne", "in-cologne"),
        ("Procedure?location:below=cologne", "in-cologne in-room"),
        ("Procedure?location:below=Location/wing", "in-room"),
        ("Procedure?location:below=bonn", ""),
        ("Procedure?location:above=room", "in-room in-cologne"),
        ("Procedure?location:above=cologne", "in-cologne"),
        ("Location?partof:below=cologne", "wing room"),
        ("Location?partof:above=wing", "wing room"),
        ("Location?partof:above=room", "wing room"),
    ],
    "composite": [
        (f"Observation?code-value-quantity=29463-7$70{K}kg", "weight grams"),
        (f"Observation?code-value-quantity={LOINC}|29463-7$gt60{K}kg", "weight grams"),
        (f"Observation?code-value-quantity=29463-7$gt80{K}kg", ""),
        (f"Observation?component-code-value-quantity=8480-6$gt100{K}mm[Hg]", "pressure"),
        (f"Observation?component-code-value-quantity=8462-4$gt100{K}mm[Hg]", ""),
        (f"Observation?component-code-value-quantity=8480-6$80{K}mm[Hg]", ""),
        ("Observation?combo-code-value-quantity=8480-6$120,29463-7$70", "pressure weight"),
        (f"Observation?code-value-concept=271649006${SNOMED}|260385009", "coded"),
        ("Observation?code-value-date=29463-7$2020", ""),
        (f"Observation?code-value-quantity=1$lt4{K}mg", "below"),
        (f"Observation?code-value-quantity=1$gt9{K}mg", ""),
    ],
    "special": [
        ("Location?near=50.9413|6.9583|1|km", "cologne"),
        ("Location?near=50.9413|6.9583|30|km", "cologne bonn"),
        ("Location?near=50.9413|6.9583|20|km", "cologne"),
        ("Location?near=50.9413|6.9583|30000|m", "cologne bonn"),
        ("Location?near=50.9413|6.9583|20|[mi_i]", "cologne bonn"),
        ("Location?near=50.9413|6.9583", "cologne bonn"),
        ("Location?near=0|0|10|km", ""),
    ],
    "ids": [
        ("Patient?_id=ann", "ann"),
        ("Patient?_id=ann,bob,nobody", "ann bob"),
        ("Patient?_id=ann&_id=bob", ""),
        ("Patient?_id:not=ann", "bob cid dan"),
        ("Patient?_id=weight", ""),
        ("Patient", ALL),
        ("Patient?_lastUpdated=gt2020", ALL),
        ("Patient?_lastUpdated=lt2020", ""),
        ("Patient?_lastUpdated=2023-11-14", ALL),
    ],
    "list": [
        ("Patient?_list=mine", "ann"),
        ("Observation?_list=List/mine", "weight"),
        ("Patient?_list=other", ""),
    ],
    "chain": [
        ("Observation?subject:Patient.name=ann", "weight pressure own"),
        ("Observation?subject.name=mul", "grams"),
        ("Observation?patient.gender=female", "weight pressure own"),
        ("Observation?subject:Patient.gender=male", "grams coded"),
        ("Observation?subject:Patient.name=contained", "coded"),
        ("Observation?performer:Practitioner.name=indoc", "coded"),
        ("Observation?performer:Practitioner.name=house", "weight"),
        ("Observation?patient.organization.name=general", "weight pressure own"),
        ("Observation?patient.organization.partof.name=general", "grams"),
        ("Observation?patient.organization:Organization.partof:Organization.address-city=bonn", "grams"),
        ("Observation?subject:Patient._id=ann", "weight pressure own"),
        ("Observation?subject:Patient.birthdate=ge1974-12-25&subject:Patient.gender=female", "weight pressure own"),
        ("Observation?subject:Patient.gender=female&code=29463-7", "weight"),
        ("Observation?subject:Patient.gender:not=male", "weight pressure own"),
        ("Observation?subject:Patient.name:missing=true", ""),
        ("Observation?encounter.date=2020-01", "weight"),
        ("Observation?has-member.code=29463-7", "pressure"),
        ("Observation?has-member:Observation.subject:Patient.name=ann", "pressure"),
        ("Patient?general-practitioner.name=house", "ann"),
        ("Patient?general-practitioner.name=general", "cid"),
        ("Patient?general-practitioner:Organization.name=general", "cid"),
        ("Patient?link:Patient.gender=male", "cid"),
        ("AuditEvent?entity:Observation.code=29463-7", "audit"),
    ],
    "reverse chain": [
        ("Patient?_has:Observation:patient:code=29463-7", "ann bob"),
        ("Patient?_has:Observation:patient:code=85354-9", "ann"),
        ("Patient?_has:Observation:subject:code=1", ""),
        ("Patient?_has:Encounter:patient:status=in-progress", "bob"),
        ("Patient?_has:Observation:patient:_has:AuditEvent:entity:agent=Patient/bob", "ann"),
        ("Patient?_has:Observation:patient:_has:Observation:has-member:code=85354-9", "ann"),
        ("Patient?_has:Observation:patient:performer:Practitioner.name=house", "ann"),
        ("Patient?_has:Observation:patient:code=29463-7&_has:Observation:patient:code=85354-9", "ann"),
        ("Organization?_has:Patient:organization:gender=male", "ward"),
        ("Organization?_has:Patient:organization:gender:not=male", "hospital"),
        ("Observation?subject:Patient._has:Encounter:patient:status=finished", "weight pressure own"),
        ("Practitioner?_has:Observation:performer:subject:Patient.name=ann", "doc"),
        ("Patient?_has:Observation:patient:_id=weight", "ann"),
        ("Patient?_has:Patient:link:name=cid", "bob"),
    ],
    "filter": [
        ('Patient?_filter=name co "ulle"', "bob cid"),
        ("Patient?_filter=name sw mul", "bob cid"),
        ("Patient?_filter=name ew smith", "ann"),
        ("Patient?_filter=family eq muller", "bob cid"),
        ("Patient?_filter=family eq mulle", ""),
        ('Patient?_filter=given eq "ann" and birthdate ge 1975', "cid"),
        ("Patient?_filter=given eq ann or given eq bob", "ann bob cid"),
        ("Patient?_filter=gender eq male or gender eq female and birthdate eq 1974-12-25", "ann"),
        ("Patient?_filter=gender eq male or (gender eq female and birthdate eq 1974-12-25)", "ann bob"),
        ("Patient?_filter=not(gender eq male)", "ann cid dan"),
        ("Patient?_filter=not (gender eq male or gender eq female)", "cid dan"),
        ("Patient?_filter=gender ne male", "ann"),
        ("Patient?_filter=gender pr true", "ann bob"),
        ("Patient?_filter=gender pr false", "cid dan"),
        ("Patient?_filter=birthdate po 1974-12-25", "ann bob"),
        ("Patient?_filter=id eq ann", "ann"),
        ("Observation?_filter=code eq http://loinc.org|29463-7", "weight grams"),
        ("Observation?_filter=code eq loinc|29463-7", "weight grams"),
        ('Observation?_filter=subject.name co "ulle"', "grams"),
        ("Observation?_filter=subject:Patient.gender eq female and code eq loinc|85354-9", "pressure"),
        ("Observation?_filter=subject[gender eq female].name co ann", "weight pressure own"),
        ("Observation?_filter=subject[gender eq male].name co ann", ""),
        ("Observation?_filter=subject re Patient/ann", "weight pressure own"),
        ("Observation?_filter=subject.id eq ann", "weight pressure own"),
        ("Observation?_filter=value-quantity gt 69|http://unitsofmeasure.org|kg", "weight grams"),
        ("Observation?_filter=code in http://vs/body", "weight grams below"),
        ("Observation?_filter=code ni http://vs/body", "pressure coded own"),
        ("Observation?_filter=code sb urn:c|wide", "weight grams"),
        ("Observation?_filter=code ss urn:c|narrow", "below"),
        ("Patient?_filter=_has:Observation:patient:code eq loinc|85354-9", "ann"),
        ("ValueSet?_filter=url eq urn:oid:1.2.3", "vs4"),
    ],
    "full text": [
        ("Patient?_text=quick", "ann"),
        ("Patient?_text=QUICK fox", "ann"),
        ("Patient?_text=quick dog", ""),
        ("Patient?_text=quick OR dog", "ann bob"),
        ('Patient?_text="brown fox"', "ann"),
        ('Patient?_text="fox brown"', ""),
        ("Patient?_text=do*", "bob"),
        ("Patient?_text=NOT dog", "ann cid dan"),
        ("Patient?_text=a NOT dog", "ann"),
        ("Patient?_text=koln", ""),
        ("Patient?_content=köln", "ann"),
        ("Patient?_content=lazy", "bob"),
        ("Observation?_content=negative", "coded"),
    ],
    "many types": [
        ("?_id=ann", "ann"),
        ("?_type=Patient&name=mul", "bob cid"),
        ("?_type=Patient,Practitioner&name=house", "doc"),
        ("?_type=Patient,Practitioner&active=true", "ann doc"),
        ("?_tag=vip", "ann"),
        ("?_list=mine", "ann weight"),
        ("?_text=quick OR lazy", "ann bob"),
    ],
    "compartment": [
        ("Patient/ann/Observation?", "weight pressure own"),
        ("Patient/ann/Observation?code=29463-7", "weight"),
        ("Patient/ann/Encounter?", "enc"),
        ("Patient/nobody/Encounter?", ""),
        ("Patient/ann/*?", "ann weight pressure own enc risk"),
        ("Patient/ann/*?_type=Encounter,Observation", "weight pressure own enc"),
        ("Patient/bob/Patient?", "bob cid"),
        ("Encounter/enc/Observation?", "weight"),
        ("Practitioner/doc/Observation?", "weight"),
    ],
}
ROWS = [pytest.param(url, expected, id=f"{group}: {url}") for group, rows in TABLE.items() for url, expected in rows]


@pytest.mark.parametrize(("url", "expected"), ROWS)
async def test_search_finds(library: World, url: str, expected: str) -> None:
    assert await library.found(url) == set(expected.split())


@pytest.mark.parametrize(("url", "expected"), ROWS[::3])
async def test_count_is_what_search_finds(library: World, url: str, expected: str) -> None:
    search = library.parse(url).search
    assert await library.store.count(search) == len(expected.split())


@pytest.mark.parametrize(("url", "expected"), ROWS[1::3])
async def test_pages_of_one_join_to_the_whole(library: World, url: str, expected: str) -> None:
    paged = f"{url}{'&' if '?' in url else '?'}_count=1"
    assert await library.ids(paged) == await library.ids(url)
