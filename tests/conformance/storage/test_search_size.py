"""Searches as large as the limits allow are answered, on every engine."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fhir_server.settings import Settings
from tests.conformance.storage.engines import LARGE
from tests.conformance.storage.library import LIBRARY, LOINC, UCUM
from tests.conformance.storage.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = Settings.model_validate({}).max_or_values
EACH = Settings.model_validate({}).max_ranges
PARAMETERS = Settings.model_validate({}).max_parameters


def many(form: str, last: str, count: int = MANY) -> str:
    return ",".join([*(form.format(n) for n in range(count - 1)), last])


def repeated(parameter: str, count: int = PARAMETERS) -> str:
    return "&".join([parameter] * count)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=LARGE)
async def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A store that holds the library."""
    world = await open_world(request.param, tmp_path_factory.mktemp(str(request.param)))
    await world.put(*LIBRARY)
    yield world
    await world.store.close()


ROWS = [
    ("tokens", "Patient?identifier=" + many("urn:x|{}", "urn:mrn|111"), "ann"),
    ("codes", "Observation?code=" + many("c{}", f"{LOINC}|85354-9"), "pressure"),
    ("systems", "Observation?code=" + many("urn:c{}|", f"{LOINC}|"), "weight grams pressure"),
    ("negated tokens", "Patient?identifier:not=" + many("urn:x|{}", "urn:mrn|111"), "bob cid dan"),
    ("of-type", "Patient?identifier:of-type=" + many("urn:t|MR|{}", "urn:t|MR|x"), ""),
    ("strings", "Patient?name=" + many("n{}", "mull"), "bob cid"),
    ("exact strings", "Patient?name:exact=" + many("n{}", "Müller"), "bob"),
    ("contained strings", "Patient?name:contains=" + many("n{}x", "ulle"), "bob cid"),
    ("words", "Observation?code:text=" + many("w{}", "some finding"), "coded"),
    ("dates", "Patient?birthdate=" + many("1{:03}", "1975", EACH), "cid"),
    ("bounds of dates", "Encounter?date=" + many("gt9{:03}", "eb2020-02", EACH), "enc open"),
    ("numbers", "RiskAssessment?probability=" + many("2{:04}", "100", EACH), "risk"),
    (
        "quantities",
        "Observation?value-quantity=" + many("9{:05}|" + UCUM + "|kg", f"70|{UCUM}|kg", EACH),
        "weight grams",
    ),
    ("URIs", "ValueSet?url=" + many("http://x/{}", "urn:oid:1.2.3"), "vs4"),
    ("URIs below", "ValueSet?url:below=" + many("http://x/{}", "http://acme.org/fhir/ValueSet/123", EACH), "vs1"),
    ("references", "Observation?subject=" + many("Patient/p{}", "Patient/bob"), "grams"),
    ("ids of references", "Observation?subject=" + many("p{}", "bob"), "grams"),
    ("URLs of references", "Observation?performer=" + many("http://x/{}", "Practitioner/doc"), "weight"),
    ("identifiers of references", "Observation?subject:identifier=" + many("urn:x|{}", "urn:mrn|111"), "below"),
    ("composites", "Observation?code-value-quantity=" + many("c{}$1", f"29463-7$70|{UCUM}|kg", EACH), "weight grams"),
    ("ids", "Patient?_id=" + many("p{}", "ann"), "ann"),
    ("instants", "Patient?_lastUpdated=" + many("1{:03}", "2023", EACH), "ann bob cid dan"),
    ("circles", "Location?near=" + many("{}|0|1|km", "50.9413|6.9583|1|km", 80), "cologne"),
    ("chained tokens", "Observation?subject:Patient.identifier=" + many("urn:x|{}", "urn:mrn|222"), "grams"),
    ("lists", "Patient?_list=" + many("l{}", "mine"), "ann"),
    ("texts", "Patient?_text=" + many("w{}", "quick", EACH), "ann"),
    ("tests of a filter", "Patient?_filter=" + " or ".join([*["name co zz"] * 498, "gender eq male"]), "bob"),
    ("tests of a filter, joined", "Patient?_filter=" + " and ".join(["gender eq male"] * 500), "bob"),
    ("repeated tokens", "Patient?" + repeated("gender:not=male"), "ann cid dan"),
    ("repeated strings", "Patient?" + repeated("name=mul"), "bob cid"),
    ("repeated dates", "Patient?" + repeated("birthdate=ge1974"), "ann bob cid"),
    ("repeated presence", "Patient?" + repeated("gender:missing=false"), "ann bob"),
    ("repeated chains", "Observation?" + repeated("subject:Patient.name=ann"), "weight pressure own"),
    ("repeated reverse chains", "Patient?" + repeated("_has:Observation:patient:code=29463-7"), "ann bob"),
    ("repeated untyped chains", "Observation?" + repeated("subject.name=ann", 50), "weight pressure own"),
    ("repeated composites", "Observation?" + repeated("code-value-quantity=29463-7$gt1"), "weight grams"),
    (
        "a deep chain",
        "Observation?has-member.has-member.has-member.has-member.has-member.has-member.has-member.subject:Patient.name=x",
        "",
    ),
    ("a deep reverse chain", "Patient?" + "_has:Patient:link:" * 8 + "name=x", ""),
    ("a hierarchy", "Procedure?" + repeated("location:below=cologne", 20), "in-cologne in-room"),
    ("all types", "?_id=" + many("p{}", "ann", 1_000), "ann"),
    ("all of a compartment", "Patient/ann/*?_lastUpdated=gt2000", "ann weight pressure own enc risk"),
]


@pytest.mark.parametrize(("url", "expected"), [pytest.param(url, expected, id=name) for name, url, expected in ROWS])
async def test_a_search_of_many(library: World, url: str, expected: str) -> None:
    assert await library.found(url) == set(expected.split())


async def test_a_search_of_many_keys(library: World) -> None:
    keys = "name,gender,birthdate,-identifier,organization,-_profile,_id,-_lastUpdated,active,family"
    ids = await library.ids(f"Patient?_sort={keys}&_count=1")
    assert ids == await library.ids(f"Patient?_sort={keys}")
    assert set(ids) == {"ann", "bob", "cid", "dan"}


async def test_a_page_of_many_includes(library: World) -> None:
    includes = "&".join(["_include=*", "_revinclude=*", "_include:iterate=*", "_revinclude:iterate=*"] * 40)
    page = await library.search(f"Patient?_id=ann&{includes}")
    assert {"weight", "doc", "hospital"} <= {version.key.id for version in page.included}
