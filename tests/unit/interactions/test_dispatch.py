"""Dispatch: the one place where callers are restricted, jobs split off, operations found and store errors said."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.definitions import OperationFacts
from fhir_server.dispatch import HANDLERS, run
from fhir_server.model.exchange import FhirRequest, FhirResponse
from fhir_server.model.keys import ResourceKey
from fhir_server.settings import Settings
from fhir_server.storage import base
from tests.builders import bundle, entry, observation, patient
from tests.conformance.http.fhir import Fhir, memory

KEY = ResourceKey("Patient", "a")


@pytest.fixture
def fhir() -> Fhir:
    return memory()


STORE_ERRORS: dict[str, tuple[base.StoreError, int, str]] = {
    "version": (base.VersionChanged(KEY, 3), 412, "conflict"),
    "condition": (base.ConditionChanged(), 503, "transient"),
    "referrers": (base.StillReferenced(KEY, [ResourceKey("Observation", "o")]), 409, "conflict"),
    "unavailable": (base.StoreUnavailable("no answer"), 503, "transient"),
    "index": (base.IndexUnavailable("no answer"), 503, "transient"),
    "targets": (base.MissingTargets(KEY, [ResourceKey("Patient", "b")]), 409, "not-found"),
    "record": (base.RecordChanged(), 409, "conflict"),
    "snapshot": (base.SnapshotGone(), 410, "expired"),
    "busy": (base.WriteBusy(), 503, "transient"),
    "slow": (base.SearchTooCostly(), 403, "too-costly"),
    "full": (base.StorageFull(), 507, "no-store"),
    "fault": (base.StorageFault("secret detail"), 500, "exception"),
    "damaged": (base.StorageDamaged("secret detail"), 500, "exception"),
    "unknown": (base.StoreError("secret detail"), 500, "exception"),
}


@pytest.mark.parametrize("what", STORE_ERRORS)
async def test_every_refusal_of_the_store_is_said_as_an_outcome(
    fhir: Fhir, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, status, code = STORE_ERRORS[what]

    async def fail(*arguments: object, **more: object) -> None:
        raise error

    store = (await fhir.server.tenants.of("default")).store
    monkeypatch.setattr(store, "read", fail)
    answer = await fhir.get("Patient/a")
    assert (answer.status, answer.json["issue"][0]["code"]) == (status, code)
    assert "secret" not in answer.text


def test_no_kind_of_store_error_is_forgotten() -> None:
    kinds = {each for each in vars(base).values() if isinstance(each, type) and issubclass(each, base.StoreError)}
    assert kinds == {type(error) for error, _, _ in STORE_ERRORS.values()}


async def test_a_commit_that_fails_with_the_store_full_keeps_nothing(
    fhir: Fhir, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: object, **more: object) -> None:
        raise base.StorageFull

    store = (await fhir.server.tenants.of("default")).store
    monkeypatch.setattr(store, "commit", fail)
    assert (await fhir.post("Patient", patient())).status == 507
    assert (await fhir.post("", bundle("transaction", entry("POST", "Patient", patient())))).status == 507
    (inner,) = (await fhir.post("", bundle("batch", entry("POST", "Patient", patient())))).entries
    assert inner["response"]["status"].startswith("507")


async def test_a_condition_that_never_settles_gives_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    fhir = memory(Settings(conditional_retries=2))
    tries = 0

    async def fail(*arguments: object, **more: object) -> None:
        nonlocal tries
        tries += 1
        raise base.ConditionChanged

    store = (await fhir.server.tenants.of("default")).store
    monkeypatch.setattr(store, "commit", fail)
    assert (await fhir.post("Patient", patient(), if_none_exist="identifier=1")).status == 503
    assert tries == 3


async def test_an_unknown_tenant_is_not_found(fhir: Fhir) -> None:
    from fhir_server.dispatch import dispatch
    from fhir_server.errors import UnknownPath

    with pytest.raises(UnknownPath):
        await dispatch(fhir.server, FhirRequest("GET", "read", "http://test", "Patient", "a", tenant="nobody"))


async def test_every_interaction_has_a_handler() -> None:
    codes = {
        "read", "vread", "update", "patch", "delete", "create", "history-instance", "history-type", "history-system",
        "search-type", "search-system", "search-compartment", "capabilities", "batch", "transaction", "job-status",
        "job-cancel",
    }  # fmt: skip
    assert HANDLERS.keys() == codes


class Jobs:
    """Takes every request as a job."""

    async def submit(self, ctx: Context, request: FhirRequest) -> FhirResponse:
        return FhirResponse(202, headers={"Content-Location": f"{ctx.base}/jobs/{request.interaction}"})

    def cancel(self, job_id: str) -> None:
        """Nothing runs."""


async def test_respond_async_makes_a_job_of_any_request(fhir: Fhir) -> None:
    fhir.server = replace(fhir.server, jobs=Jobs())
    answer = await fhir.get("Patient", prefer="respond-async")
    assert (answer.status, answer.headers["Content-Location"]) == (202, "http://test/fhir/jobs/search-type")
    assert (await fhir.get("Patient", prefer="return=minimal")).status == 200


async def test_respond_async_of_a_bundle_is_about_the_whole_bundle(fhir: Fhir) -> None:
    fhir.server = replace(fhir.server, jobs=Jobs())
    answer = await fhir.post("", bundle("batch", entry("GET", "Patient")), prefer="respond-async")
    assert answer.headers["Content-Location"].endswith("jobs/batch")


async def test_a_request_within_a_job_is_not_made_a_job_again(fhir: Fhir) -> None:
    seen = []

    class Runner(Jobs):
        async def submit(self, ctx: Context, request: FhirRequest) -> FhirResponse:
            inside = replace(ctx, progress=lambda done, of: None)
            seen.append((ctx.in_job, inside.in_job))
            return await run(inside, request)

    fhir.server = replace(fhir.server, jobs=Runner())
    assert (await fhir.get("Patient", prefer="respond-async")).status == 200
    assert seen == [(False, True)]


async def test_without_jobs_the_preference_is_ignored(fhir: Fhir) -> None:
    assert (await fhir.get("Patient", prefer="respond-async")).status == 200


@dataclass(frozen=True)
class Echo:
    """An operation that says how it was called."""

    facts: OperationFacts
    background: bool = False

    async def run(self, ctx: Context, request: FhirRequest) -> FhirResponse:
        return FhirResponse(200, (f'{{"resourceType":"Basic","id":"{request.operation}"}}'.encode(),))


class Registry:
    """One operation on the system, on Patient and on its instances."""

    def __init__(self, *, affects_state: bool) -> None:
        facts = OperationFacts("echo", "echo", "http://x/echo", True, True, False, ("Patient",), affects_state)
        self.facts = (facts,)

    def find(self, name: str, type_: str | None, level: str, /) -> Any:
        fits = {"system": type_ is None, "type": type_ == "Patient", "instance": False}
        return Echo(self.facts[0]) if name == "echo" and fits[level] else None


async def test_operations_are_found_by_name_type_and_level(fhir: Fhir) -> None:
    fhir.server = replace(fhir.server, operations=Registry(affects_state=False))
    await fhir.put_all(patient("a"))
    for url, status in (("$echo", 200), ("Patient/$echo", 200), ("Patient/a/$echo", 404), ("Observation/$echo", 404)):
        assert (await fhir.get(url)).status == status, url
    (inner,) = (await fhir.post("", bundle("batch", entry("GET", "Patient/$echo")))).entries
    assert inner["resource"]["id"] == "echo"


async def test_operations_that_change_nothing_may_be_part_of_a_transaction(fhir: Fhir) -> None:
    fhir.server = replace(fhir.server, operations=Registry(affects_state=False))
    entries = [entry("GET", "$echo"), entry("POST", "Observation", observation())]
    answer = await fhir.post("", bundle("transaction", *entries))
    assert answer.entries[0]["resource"]["id"] == "echo"
    fhir.server = replace(fhir.server, operations=Registry(affects_state=True))
    answer = await fhir.post("", bundle("transaction", *entries))
    assert (answer.status, answer.expressions) == (501, ["Bundle.entry[0].request.url"])


async def test_operations_are_listed_in_the_capabilities(fhir: Fhir) -> None:
    fhir.server = replace(fhir.server, operations=Registry(affects_state=False))
    (rest,) = (await fhir.get("metadata")).json["rest"]
    assert rest["operation"] == [{"name": "echo", "definition": "http://x/echo"}]
    listed = [each["type"] for each in rest["resource"] if "operation" in each]
    assert listed == ["Patient"]


async def test_a_client_that_names_many_hosts_does_not_fill_the_memory(fhir: Fhir) -> None:
    from fhir_server.dispatch import MOST_CONTEXTS, dispatch

    for number in range(MOST_CONTEXTS + 100):
        await dispatch(fhir.server, FhirRequest("GET", "search-type", f"http://host-{number}/fhir", "Patient"))
    assert len(fhir.server.contexts) <= MOST_CONTEXTS
