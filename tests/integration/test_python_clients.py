"""Clients of others, in Python: SMART's fhirclient and beda's fhirpy."""

import uuid
import warnings

import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from tests.integration.running import Running

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fhirclient import client
    from fhirclient.models.humanname import HumanName
    from fhirclient.models.observation import Observation
    from fhirclient.models.patient import Patient

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
def smart(demo_server: Running) -> client.FHIRClient:
    return client.FHIRClient(settings={"app_id": "test", "api_base": demo_server.base})


def test_fhirclient_reads_searches_and_writes(smart: client.FHIRClient) -> None:
    assert smart.ready or smart.prepare()
    patient = Patient.read("demo-1", smart.server)
    assert patient.name[0].family
    family = f"Zz{uuid.uuid4().hex[:8]}"
    created = Patient({"name": [{"family": family}], "gender": "female", "birthDate": "1980-02-29"}).create(
        smart.server
    )
    assert created["id"]
    found = list(Patient.where({"family": family}).perform_resources_iter(smart.server))
    assert [one.id for one in found] == [created["id"]]
    found[0].name.append(HumanName({"text": "Second"}))
    assert found[0].update(smart.server)["meta"]["versionId"] == "2"
    found[0].delete(smart.server)
    assert list(Patient.where({"family": family}).perform_resources_iter(smart.server)) == []


def test_fhirclient_walks_all_pages(smart: client.FHIRClient) -> None:
    search = Observation.where({"patient": "demo-1", "_count": "3"})
    ids = [one.id for one in search.perform_resources_iter(smart.server)]
    assert len(ids) == len(set(ids)) > 3


def test_fhirpy_creates_updates_patches_and_deletes(demo_server: Running) -> None:
    fhir = SyncFHIRClient(demo_server.base)
    family = f"Yy{uuid.uuid4().hex[:8]}"
    patient = fhir.resource("Patient", name=[{"family": family}], active=True)
    patient.create()
    assert patient.id and patient["meta"]["versionId"] == "1"
    patient["active"] = False
    patient.save()
    patient.patch(gender="other")
    again = fhir.reference("Patient", patient.id).to_resource()
    assert (again["active"], again["gender"]) == (False, "other")
    assert fhir.resources("Patient").search(family=family).count() == 1
    assert fhir.resources("Patient").search(family__exact=family).first().id == patient.id
    patient.delete()
    with pytest.raises(ResourceNotFound):
        fhir.reference("Patient", patient.id).to_resource()


def test_fhirpy_get_or_create_is_conditional(demo_server: Running) -> None:
    fhir = SyncFHIRClient(demo_server.base)
    value = uuid.uuid4().hex
    made = [fhir.resource("Patient", identifier=[{"system": "urn:test", "value": value}]) for _ in range(2)]
    answers = [fhir.resources("Patient").search(identifier=f"urn:test|{value}").get_or_create(one) for one in made]
    assert [bool(created) for _, created in answers] == [True, False]
    assert answers[0][0].id == answers[1][0].id


def test_fhirpy_hears_what_is_wrong(demo_server: Running) -> None:
    fhir = SyncFHIRClient(demo_server.base)
    with pytest.raises(OperationOutcome, match="shoe"):
        fhir.resource("Patient", shoe=42).create()
    with pytest.raises(OperationOutcome, match="foo"):
        fhir.resources("Patient").search(foo="1").fetch()


async def test_async_fhirpy_fetches_everything_and_includes(demo_server: Running) -> None:
    fhir = AsyncFHIRClient(demo_server.base)
    everything = await fhir.resources("Observation").search(patient="demo-2").limit(5).fetch_all()
    total = await fhir.resources("Observation").search(patient="demo-2").count()
    assert len(everything) == total > 5
    bundle = (
        await fhir.resources("Observation")
        .search(patient="demo-2")
        .limit(1)
        .include("Observation", "subject")
        .fetch_raw()
    )
    assert {entry["resource"]["resourceType"] for entry in bundle["entry"]} == {"Observation", "Patient"}
