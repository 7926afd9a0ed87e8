"""Operations of billing go no further than the caller may see and write; what is done is in the audit."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from fhir_server.auth.mask_administration import set_rules
from fhir_server.auth.users import new_user, save_user
from tests.conformance.smart.conftest import SERVICE, Ehr, record, started
from tests.plugins.only import but

WHOLE = replace(SERVICE, scopes="system/*.cruds")
CODE = {"coding": [{"system": "http://test/codes", "code": "visit"}]}


def parameters(**values: Any) -> dict[str, Any]:
    """Return Parameters; the name tells the type: `code__method`."""
    parts = []
    for name, value in values.items():
        kind, _, called = name.partition("__")
        given = {"reference": value} if kind == "Reference" else value
        parts.append({"name": called.replace("_", "-"), f"value{kind}": given})
    return {"resourceType": "Parameters", "parameter": parts}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ehr(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ehr]:
    """Two patients; one has an invoice."""
    folder: Path = tmp_path_factory.mktemp("billing")
    async with started(folder, plugins_disabled=but("fhir_billing")) as ehr:
        token = await ehr.bearer("system/*.cruds", client=WHOLE)
        base = {"type": "base", "amount": {"value": 100, "currency": "NGN"}}
        for resource in (
            record("Patient", "ann", name=[{"family": "A"}], birthDate="1990-01-01"), record("Patient", "bob"),
            record("ChargeItemDefinition", "p", url="http://test/p", status="active", code=CODE,
                   effectivePeriod={"start": "2020-01-01"}, propertyGroup=[{"priceComponent": [base]}]),
            record("ChargeItem", "c", status="planned", code=CODE, subject={"reference": "Patient/ann"},
                   occurrenceDateTime="2025-06-15"),
        ):  # fmt: skip
            answer = await ehr.fhir(f"{resource['resourceType']}/{resource['id']}", token, "PUT", resource)
            assert answer.is_success, answer.text
        assert ehr.app.running is not None
        await ehr.app.running.settled("default")
        made = await ehr.fhir("Invoice/$invoice", token, "POST", parameters(Reference__patient="Patient/ann"))
        assert made.status_code == 200, made.text
        ehr.invoice = made.json()["parameter"][0]["resource"]["id"]  # type: ignore[attr-defined]
        yield ehr


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def asked(ehr: Ehr, scopes: str, path: str, body: Any, **more: Any) -> int:
    """Return the status of an operation under scopes."""
    token = await ehr.bearer(scopes, **more)
    return int((await ehr.fhir(path, token, "POST" if body else "GET", body)).status_code)


async def test_without_a_token_nothing_is_answered(ehr: Ehr) -> None:
    for path in ("Invoice/$invoice", "Invoice/$refund", "PaymentReconciliation/$reconcile", "Invoice/$dunning"):
        assert (await ehr.fhir(path, "", "POST", parameters())).status_code == 401


async def test_who_may_only_read_invoices_changes_nothing(ehr: Ehr) -> None:
    for path, body in (
        ("Invoice/$invoice", parameters(Reference__patient="Patient/ann")),
        (f"Invoice/{ehr.invoice}/$pay", parameters(Code__method="credit")),  # type: ignore[attr-defined]
        ("Invoice/$refund", parameters(String__payment="x")),
        ("Invoice/$exchange-rate", parameters(Code__base="USD")),
        ("PaymentReconciliation/$close-shift", parameters(String__shift="x")),
    ):
        assert await asked(ehr, "user/*.rs", path, body, user=ehr.doctor) == 403


async def test_a_patients_app_sees_its_own_account_and_no_other(ehr: Ehr) -> None:
    mine = {"user": ehr.doctor, "patient": "ann"}
    assert await asked(ehr, "patient/*.rs", "Patient/ann/$statement", None, **mine) == 200
    assert await asked(ehr, "patient/*.rs", "Patient/bob/$statement", None, **mine) == 404
    assert await asked(ehr, "patient/*.rs", "Invoice/$ledger", None, **mine) == 403
    assert await asked(ehr, "patient/*.rs", "MeasureReport/$receivables", None, **mine) == 403
    other = {"user": ehr.doctor, "patient": "bob"}
    path = f"Invoice/{ehr.invoice}/$pay"  # type: ignore[attr-defined]
    assert await asked(ehr, "patient/*.cruds", path, parameters(Code__method="credit"), **other) == 404


async def test_a_patients_app_may_pay_but_not_act_as_cashier(ehr: Ehr) -> None:
    mine = {"user": ehr.doctor, "patient": "ann"}
    path = f"Invoice/{ehr.invoice}/$pay"  # type: ignore[attr-defined]
    assert await asked(ehr, "patient/*.cruds", path, parameters(Code__method="cash"), **mine) == 403
    assert await asked(ehr, "patient/*.cruds", path, parameters(Code__method="credit"), **mine) == 409
    for operation in ("Invoice/$invoice", "Invoice/$refund", "PaymentReconciliation/$reconcile", "Invoice/$subscribe"):
        body = parameters(Reference__patient="Patient/ann") if operation == "Invoice/$invoice" else parameters()
        assert await asked(ehr, "patient/*.cruds", operation, body, **mine) == 403


async def test_users_who_are_patients_see_no_books_whatever_the_app(ehr: Ehr) -> None:
    mother = new_user("mother", subject="RelatedPerson/none")
    await save_user(ehr.desk, mother)
    for user in (ehr.ann, mother):
        for path in ("Invoice/$ledger", "MeasureReport/$receivables"):
            assert await asked(ehr, "user/*.cruds", path, None, user=user) == 403
    assert await asked(ehr, "user/*.rs", "Patient/ann/$statement", None, user=ehr.ann) == 200


async def test_the_books_are_for_who_may_see_all_of_what_they_are_shown_in(ehr: Ehr) -> None:
    part = "user/Account.rs user/PaymentReconciliation.rs user/Invoice.rs"
    assert await asked(ehr, part, "Invoice/$ledger", None, user=ehr.doctor) == 200
    assert await asked(ehr, f"{part}?status=draft", "Invoice/$ledger", None, user=ehr.doctor) == 403


async def test_who_opted_out_is_named_in_no_books(ehr: Ehr) -> None:
    token, whole = await ehr.bearer("user/*.rs", user=ehr.doctor), await ehr.bearer("system/*.cruds", client=WHOLE)
    before = (await ehr.fhir("Invoice/$ledger?lines=all", token)).text
    assert "Patient.ann" in before
    opted = record(
        "Consent", "out", status="active", patient={"reference": "Patient/ann"},
        scope={"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        category=[{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        policyRule={"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTOUT"}]},
    )  # fmt: skip
    assert (await ehr.fhir("Consent/out", whole, "PUT", opted)).is_success
    try:
        await _until(ehr, whole, 404)
        after = (await ehr.fhir("Invoice/$ledger?lines=all", token)).text
        assert "ann" not in after
        assert "receivable/withheld" in after
        below = (await ehr.fhir("Invoice/$ledger?account=receivable/Patient.ann", token)).text
        assert "withheld" not in below
    finally:
        own = await ehr.bearer("user/*.cruds", user=ehr.ann)
        assert (await ehr.fhir("Consent/out", own, "PUT", opted | {"status": "rejected"})).is_success
        await _until(ehr, whole, 200)


async def _until(ehr: Ehr, token: str, status: int) -> None:
    """Wait until the Consent is in force, or is not any more."""
    async with asyncio.timeout(20):
        while (await ehr.fhir("Patient/ann", token)).status_code != status:
            await asyncio.sleep(0.05)


async def test_derived_fields_are_guarded_whatever_the_scopes(ehr: Ehr) -> None:
    token = await ehr.bearer("system/*.cruds", client=WHOLE)
    path = f"Invoice/{ehr.invoice}"  # type: ignore[attr-defined]
    there = (await ehr.fhir(path, token)).json()
    assert (await ehr.fhir(path, token, "PUT", there | {"status": "balanced"})).status_code == 422
    changed = there | {"totalNet": {"value": 1, "currency": "NGN"}}
    entry = {"resource": changed, "request": {"method": "PUT", "url": path}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    assert (await ehr.fhir("", token, "POST", bundle)).status_code == 422
    assert (await ehr.fhir(path, token)).json()["status"] == "issued"


async def test_each_operation_is_in_the_audit(ehr: Ehr) -> None:
    user = new_user("auditor", roles=("auditor",))
    await save_user(ehr.desk, user)
    auditor = await ehr.bearer("user/*.rs", user=user)
    events = (await ehr.fhir("AuditEvent?_count=200", auditor)).json()["entry"]
    entities = [entity for each in events for entity in each["resource"].get("entity", ())]
    asked_for = {base64.b64decode(each["query"]).decode() for each in entities if "query" in each}
    named = {each["what"].get("reference") for each in entities if "what" in each}
    assert any(url.endswith("/Invoice/$invoice") for url in asked_for)
    assert f"Invoice/{ehr.invoice}" in named  # type: ignore[attr-defined]


async def test_a_refund_is_approved_by_somebody_else_than_who_asked_for_it(ehr: Ehr) -> None:
    whole = await ehr.bearer("system/*.cruds", client=WHOLE)
    item = record("ChargeItem", "c2", status="planned", code=CODE, subject={"reference": "Patient/bob"},
                  occurrenceDateTime="2025-06-15")  # fmt: skip
    assert (await ehr.fhir("ChargeItem/c2", whole, "PUT", item)).is_success
    assert ehr.app.running is not None
    await ehr.app.running.settled("default")
    cashier = await ehr.bearer("user/*.cruds", user=ehr.doctor)

    async def call(path: str, token: str, **values: Any) -> Any:
        return await ehr.fhir(path, token, "POST", parameters(**values))

    made = (await call("Invoice/$invoice", whole, Reference__patient="Patient/bob")).json()
    invoice = made["parameter"][0]["resource"]["id"]
    shift = (await call("PaymentReconciliation/$open-shift", cashier, Code__point="p")).json()
    shift = shift["parameter"][0]["valueString"]
    paid = (await call(f"Invoice/{invoice}/$pay", cashier, Code__method="cash", String__shift=shift)).json()
    assert (await call("Invoice/$invoice", whole, Reference__cancel=f"Invoice/{invoice}")).status_code == 200
    wish = {"String__payment": paid["parameter"][0]["valueString"], "String__reason": "undone"}
    asked = (await call("Invoice/$refund", cashier, **wish)).json()["parameter"][0]["valueString"]
    decide = {"String__refund": asked, "Boolean__approve": True, "String__shift": shift}
    own = await call("Invoice/$refund", cashier, **decide)
    assert own.status_code == 403, own.text
    assert "somebody else" in own.text
    other = await call("Invoice/$refund", whole, **decide)
    assert (other.status_code, other.json()["parameter"][1]["valueCode"]) == (200, "paid"), other.text


async def test_what_the_books_make_is_masked_for_who_asked_for_it(ehr: Ehr) -> None:
    """The operation reads it with the authority of the plugin; what is shown is what the caller's role sees."""
    whole = await ehr.bearer("system/*.cruds", client=WHOLE)
    item = record("ChargeItem", "c9", status="planned", code=CODE, subject={"reference": "Patient/bob"},
                  occurrenceDateTime="2025-06-15")  # fmt: skip
    assert (await ehr.fhir("ChargeItem/c9", whole, "PUT", item)).is_success
    assert ehr.app.running is not None
    await ehr.app.running.settled("default")
    user = new_user("biller", roles=("billing",))
    await save_user(ehr.desk, user)
    await set_rules(ehr.desk, "billing", [{"path": "Invoice.totalNet"}])
    token = await ehr.bearer("user/*.cruds", user=user)
    async with asyncio.timeout(20):
        while "totalNet" in (await ehr.fhir(f"Invoice/{ehr.invoice}", token)).text:  # type: ignore[attr-defined]
            await asyncio.sleep(0.05)
    made = await ehr.fhir("Invoice/$invoice", token, "POST", parameters(Reference__patient="Patient/bob"))
    (invoice,) = [each["resource"] for each in made.json()["parameter"]]
    assert "totalNet" not in invoice
    assert "totalGross" in invoice
    assert await asked(ehr, "user/*.rs", "Invoice/$ledger", None, user=user) == 403
