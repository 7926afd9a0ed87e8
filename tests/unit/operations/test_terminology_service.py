"""How long terminology work may take, and where it is done."""

import time
from dataclasses import replace
from typing import Any

import pytest

from fhir_server.context import Context
from fhir_server.dispatch import context_of
from fhir_server.errors import BadRequest, TooCostly, Unsupported
from fhir_server.model.exchange import FhirRequest
from fhir_server.operations.terminology import quick
from fhir_server.operations.terminology.cross_version import as_r4
from fhir_server.operations.terminology.service import answered, expanded, tenant_service
from fhir_server.packages import Library
from fhir_server.settings import Settings
from fhir_server.terminology import Terminology
from tests.conformance.http.fhir import memory


async def context(**settings: Any) -> Context:
    return await context_of(memory(Settings(**settings)).server, FhirRequest("GET", "operation", "http://test/fhir"))


async def test_an_expansion_that_takes_too_long_is_too_costly() -> None:
    ctx = await context(search_timeout=1)
    with pytest.raises(TooCostly, match="within 1 s"):
        await expanded(ctx, time.sleep, 1.5)


async def test_what_is_refused_says_so_in_details_too() -> None:
    def refuse() -> None:
        raise BadRequest("no such thing")

    with pytest.raises(BadRequest) as caught:
        await answered(refuse)
    assert caught.value.issues[0].details == {"text": "no such thing"}


async def test_what_was_quick_is_done_at_once_and_what_was_slow_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = []

    async def counted(work: Any, *arguments: Any) -> Any:
        threads.append(work)
        return await answered(work, *arguments)

    monkeypatch.setattr(quick, "answered", counted)
    terminology = Terminology(Library())
    for _ in range(3):
        await quick.quickly(lambda _: None, terminology, about="quick")
    assert len(threads) == 1
    for _ in range(3):
        await quick.quickly(lambda _: time.sleep(0.01), terminology, about="slow")
    assert len(threads) == 4
    await quick.quickly(lambda _: time.sleep(0.01), terminology, about="quick")
    await quick.quickly(lambda _: None, terminology, about="quick")
    assert len(threads) == 5


def test_properties_of_expansions_become_extensions_beside_others() -> None:
    other = {"url": "urn:other", "valueBoolean": True}
    inner = {"code": "b", "property": [{"code": "p", "valueInteger": 2}]}
    found = as_r4(
        {"expansion": {"property": [{"code": "p", "uri": "urn:p"}],
                       "contains": [{"code": "a", "extension": [other], "property": [{"code": "p", "valueInteger": 1}],
                                     "contains": [inner]}]}}
    )["expansion"]  # fmt: skip
    base = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion"
    parts = [{"url": "code", "valueCode": "p"}, {"url": "uri", "valueUri": "urn:p"}]
    assert found["extension"] == [{"url": f"{base}.property", "extension": parts}]
    (first,) = found["contains"]
    one, two = first["extension"]
    assert (one, two["url"]) == (other, f"{base}.contains.property")
    assert "property" not in first["contains"][0]
    assert as_r4({"url": "u"}) == {"url": "u"}


async def test_a_server_without_terminology_says_so() -> None:
    with pytest.raises(Unsupported):
        tenant_service(replace(await context(), terminology=None))
