"""Consents and masks hold in every worker within a second."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from fhir_server.auth.users import new_user, save_user
from tests.conformance.consent.test_consent import consent
from tests.conformance.smart.conftest import filled, started
from tests.integration.running import running

TRIES = 24
"""Connections of their own: with two workers hardly all of them end at the same one."""


async def _prepared(folder: Path) -> tuple[str, str]:
    """Fill a data folder; return the tokens of a doctor and an administrator."""
    async with started(folder) as ehr:
        await filled(ehr)
        root = replace(new_user("root", roles=("admin",)), password=ehr.doctor.password)
        await save_user(ehr.desk, root)
        doctor = await ehr.bearer("user/*.cruds", user=ehr.doctor)
        return doctor, await ehr.bearer("user/*.cruds", user=root)


def _all(url: str, token: str, holds: Callable[[httpx.Response], bool]) -> list[bool]:
    headers = {"authorization": f"Bearer {token}"}
    return [holds(httpx.get(url, headers=headers)) for _ in range(TRIES)]


def test_what_is_forbidden_is_hidden_by_both_workers_a_second_later(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    doctor, admin = asyncio.run(_prepared(folder))
    with running(folder, "--auth", "smart", "--workers", "2") as server:
        url, headers = f"{server.base}/Patient/ann", {"authorization": f"Bearer {admin}"}
        body: Any = consent("OPTOUT")
        root = server.base.removesuffix("/fhir")
        assert all(_all(url, doctor, lambda answer: answer.status_code == 200))
        assert httpx.put(f"{server.base}/Consent/c1", json=body, headers=headers).status_code == 201
        time.sleep(1)
        assert all(_all(url, doctor, lambda answer: answer.status_code == 404)), "an opt-out holds"
        inactive = body | {"status": "inactive"}
        again = httpx.put(f"{server.base}/Consent/c1", json=inactive, headers=headers)
        assert again.status_code in (200, 201, 403), again.text
        if again.status_code == 403:  # administrators are staff too: the patient takes it back
            return
        time.sleep(1)
        assert all(_all(url, doctor, lambda answer: answer.status_code == 200)), "and ends"
        rules = {"rules": [{"path": "Patient.name"}]}
        assert httpx.put(f"{root}/auth/admin/masks/clinician", json=rules, headers=headers).status_code == 200
        time.sleep(1)
        assert all(_all(url, doctor, lambda answer: "Able" not in answer.text and answer.status_code == 200))
