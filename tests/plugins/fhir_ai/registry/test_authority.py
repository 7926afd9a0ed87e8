"""Who may decide which models serve, who may see how they do; and each decision is in the audit."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from fhir_server.auth.users import new_user, save_user
from tests.conformance.smart.conftest import Ehr, filled, started
from tests.plugins.fhir_ai.registry.models import NAME, PUBLIC, parts

pytest.importorskip("onnxruntime", reason="models need fhir-server[ai]")


async def ask(ehr: Ehr, token: str, operation: str, *given: Any, **named: str) -> Any:
    made = [{"name": name, "valueString": value} for name, value in named.items()]
    body = {"resourceType": "Parameters", "parameter": [*given, *made]}
    headers = {"authorization": f"Bearer {token}", "content-type": "application/fhir+json"}
    return await ehr.http.post(f"/fhir/Device/${operation}", content=json.dumps(body), headers=headers)


async def test_models_are_decided_by_who_has_the_scope_alone_and_it_is_audited(tmp_path: Path) -> None:
    async with started(tmp_path, plugins={"fhir_ai": {"model_keys": [PUBLIC]}}) as ehr:
        await filled(ehr)
        await refused_without_the_scope(ehr)
        manager = await ehr.bearer("user/Device.cruds __ai-models.manage", user=ehr.doctor)
        assert (await ask(ehr, manager, "model-register", *parts())).status_code == 200
        assert (await ask(ehr, manager, "model-promote", name=NAME, version="1.0.0")).status_code == 200
        assert (await ask(ehr, manager, "performance", name=NAME)).status_code == 200
        reader = await ehr.bearer("user/Device.rs __ai-models.read", user=ehr.doctor)
        assert (await ask(ehr, reader, "performance", name=NAME)).status_code == 200
        assert (await ask(ehr, reader, "model-rollback", name=NAME)).status_code == 403
        user = new_user("auditor", roles=("auditor",))
        await save_user(ehr.desk, user)
        auditor = await ehr.bearer("user/*.rs", user=user)
        events = (await ehr.fhir("AuditEvent?_count=100", auditor)).json()["entry"]
        entities = [entity for each in events for entity in each["resource"].get("entity", [])]
        asked = b" ".join(b64decode(entity["query"]) for entity in entities if "query" in entity)
        assert b"$model-register" in asked
        assert b"$model-promote" in asked


async def refused_without_the_scope(ehr: Ehr) -> None:
    clinician = await ehr.bearer("user/*.cruds", user=ehr.doctor)
    shipped = {"name": "support2-30d", "version": "1.1.0"}
    for operation, named in (
        ("model-promote", shipped), ("model-rollback", {"name": "support2-30d"}), ("performance", shipped),
        ("model-stop", {**shipped, "because": "no"}), ("model-resume", shipped), ("model-retire", shipped),
    ):  # fmt: skip
        answer = await ask(ehr, clinician, operation, **named)
        assert answer.status_code == 403, (operation, answer.text)
        assert "ai-models." in answer.text
    assert (await ask(ehr, clinician, "model-register", *parts())).status_code == 403
    assert "support2-30d" in (await ask(ehr, clinician, "model-list")).text
    opinion = await ehr.fhir("Patient/ann/$remote-opinion?model=near", clinician)
    assert (opinion.status_code, "__ai-models.remote" in opinion.text) == (403, True)
