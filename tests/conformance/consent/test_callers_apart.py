"""What belongs to one caller is nothing to another: jobs, page links, the powers of an administrator."""

from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import pytest

from tests.conformance.smart.conftest import SYMMETRIC, Ehr, filled, observation, started


@pytest.fixture
async def ehr(tmp_path: Path) -> AsyncIterator[Ehr]:
    async with started(tmp_path, validation="off") as ehr:
        await filled(ehr)
        yield ehr


async def _job(ehr: Ehr, token: str) -> str:
    headers = {"authorization": f"Bearer {token}", "prefer": "respond-async"}
    answer = await ehr.http.get("/fhir/Patient", headers=headers)
    assert answer.status_code == 202
    return urlsplit(answer.headers["content-location"]).path.removeprefix("/fhir/")


async def test_a_job_is_seen_and_cancelled_by_who_started_it_and_administrators(ehr: Ehr) -> None:
    mine = await ehr.bearer("user/*.rs", user=ehr.doctor)
    again = await ehr.bearer("user/*.rs", user=ehr.doctor)
    bound = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="ann")
    service = await ehr.bearer("system/*.rs", SYMMETRIC)
    admin = await ehr.bearer("system/*.cruds", SYMMETRIC, roles=("admin",))
    narrow = await ehr.bearer("system/Patient.rs", SYMMETRIC, roles=("admin",))
    job = await _job(ehr, mine)
    less = await ehr.bearer("user/Observation.rs", user=ehr.doctor)
    for token in (bound, service, narrow, less, await ehr.bearer("user/*.rs", user=ehr.ann)):
        for method in ("GET", "DELETE"):
            assert (await ehr.fhir(job, token, method)).status_code == 404
    more = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    for token in (mine, again, more, admin):
        assert (await ehr.fhir(job, token)).status_code in (200, 202)
    assert (await ehr.fhir(job, mine, "DELETE")).status_code == 202


async def test_a_page_link_opens_for_its_caller_alone(ehr: Ehr) -> None:
    mine = await ehr.bearer("user/*.rs", user=ehr.doctor)
    bundle = (await ehr.fhir("Observation?_count=1", mine)).json()
    link = next(link["url"] for link in bundle["link"] if link["relation"] == "next").partition("/fhir/")[2]
    assert (await ehr.fhir(link, mine)).status_code == 200
    for other in (
        await ehr.bearer("patient/*.rs", user=ehr.ann, patient="ann"),
        await ehr.bearer("user/Observation.rs", user=ehr.doctor),
        await ehr.bearer("system/*.rs", SYMMETRIC),
    ):
        assert (await ehr.fhir(link, other)).status_code == 400


@pytest.mark.parametrize("operation", ["$reindex", "$uninstall-package", "Observation/ann-lab/$purge"])
async def test_administration_asks_for_the_role_and_the_whole_grant(ehr: Ehr, operation: str) -> None:
    for token in (
        await ehr.bearer("user/*.cruds", user=ehr.doctor),
        await ehr.bearer("system/*.rs", SYMMETRIC, roles=("admin",)),
        await ehr.bearer("system/Observation.cruds", SYMMETRIC, roles=("admin",)),
    ):
        body = {"resourceType": "Parameters", "parameter": []}
        answer = await ehr.fhir(operation, token, "POST", body)
        assert answer.status_code in (400, 403), answer.text


async def test_operations_that_change_something_ask_for_letters_that_do(ehr: Ehr) -> None:
    token = await ehr.bearer("user/*.rs", user=ehr.doctor)
    body = {"resourceType": "Parameters", "parameter": [{"name": "name", "valueString": "x"}]}
    assert (await ehr.fhir("$closure", token, "POST", body)).status_code == 403
    meta = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]}
    assert (await ehr.fhir("Observation/ann-lab/$meta-add", token, "POST", meta)).status_code == 403


async def test_content_is_not_made_readable_by_pointing_to_it(ehr: Ehr) -> None:
    doctor = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    binary = {"resourceType": "Binary", "id": "bare", "contentType": "text/plain", "data": "aGk="}
    assert (await ehr.fhir("Binary/bare", doctor, "PUT", binary)).status_code == 201
    token = await ehr.bearer("patient/*.cruds", user=ehr.ann, patient="ann")
    for id_ in ("bare", "of-bob", "never"):
        pointing = {
            "resourceType": "DocumentReference", "status": "current", "subject": {"reference": "Patient/ann"},
            "content": [{"attachment": {"url": f"Binary/{id_}"}}],
        }  # fmt: skip
        assert (await ehr.fhir("DocumentReference", token, "POST", pointing)).status_code == 403
        assert (await ehr.fhir(f"Binary/{id_}", token)).status_code == 404
    assert (await ehr.fhir("DocumentReference", doctor, "POST", pointing | {"content": [
        {"attachment": {"url": "Binary/bare"}}]})).status_code == 201  # fmt: skip
    assert (await ehr.fhir("Binary/bare", token)).text == "hi"


async def test_who_may_write_only_some_resources_cannot_tell_which_ids_are_taken(ehr: Ehr) -> None:
    token = await ehr.bearer("patient/*.cruds", user=ehr.ann, patient="ann")
    taken, free = [await ehr.fhir(f"Observation/{id_}", token, "PUT", observation(id_, "ann"))
                   for id_ in ("bob-pulse", "bob-never")]  # fmt: skip
    assert (taken.status_code, free.status_code) == (403, 403)
    assert taken.text.replace("bob-pulse", "bob-never") == free.text


async def test_the_time_of_an_answer_says_nothing_of_what_is_hidden(tmp_path: Path) -> None:
    """Nothing there and something hidden: both take as long as `hidden_pause`, however quickly they are known."""
    async with started(tmp_path, validation="off", hidden_pause=40) as ehr:
        await filled(ehr)
        token = await ehr.bearer("patient/*.rs", user=ehr.doctor, patient="ann")
        took: dict[str, list[float]] = {}
        for url in (
            "Observation/{}", "Observation/{}/_history", "Observation/{}/_history/1", "Observation?_id={}",
            "Patient?_has:Observation:subject:_id={}", "Observation/{}/$meta",
        ):  # fmt: skip
            for _ in range(5):
                for id_ in ("bob-pulse", "never"):
                    began = perf_counter()
                    answer = await ehr.fhir(url.format(id_), token)
                    took.setdefault(id_, []).append(perf_counter() - began)
                    assert answer.status_code == 404 or not answer.json().get("entry")
        for times in took.values():
            assert min(times) >= 0.039
        assert abs(median(took["bob-pulse"]) - median(took["never"])) < 0.01
        began = perf_counter()
        assert (await ehr.fhir("Observation/ann-pulse", token)).status_code == 200
        assert perf_counter() - began < 0.03, "what is seen does not wait"
