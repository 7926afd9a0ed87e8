"""Proofs over HTTP, checked with nothing but what the answers say."""

from base64 import b64decode, b64encode
from typing import Any

from fhir_server.audit.events import Agent, Event, agent_text, row_of
from fhir_server.audit.ledger import Ledger
from fhir_server.audit.merkle import consistent, included, leaf_hash
from tests.conformance.audit.conftest import Audited


async def asked(audited: Audited, url: str, token: str = "") -> dict[str, list[Any]]:
    answer = await audited.ehr.fhir(f"AuditEvent/{url}", token or await audited.token())
    assert answer.status_code == 200, answer.text
    found: dict[str, list[Any]] = {}
    for part in answer.json()["parameter"]:
        found.setdefault(part["name"], []).append(next(v for k, v in part.items() if k.startswith("value")))
    return found


async def test_the_log_has_only_grown_and_holds_what_it_held(audited: Audited) -> None:
    await audited.events()
    first = await asked(audited, "$tree-head")
    await audited.events()
    second = await asked(audited, "$tree-head")
    sizes = first["size"][0], second["size"][0]
    assert sizes[0] < sizes[1]
    path = await asked(audited, f"$consistency-proof?first={sizes[0]}&second={sizes[1]}")
    roots = b64decode(first["root"][0]), b64decode(second["root"][0])
    assert consistent(*sizes, roots, [b64decode(each) for each in path["hash"]])
    for seq in (1, sizes[0]):
        proof = await asked(audited, f"{seq}/$inclusion-proof?size={sizes[1]}")
        leaf, hashes = leaf_hash(b64decode(proof["entry"][0])), [b64decode(each) for each in proof["hash"]]
        assert included(leaf, proof["index"][0], sizes[1], hashes, roots[1])


async def test_proofs_are_for_auditors(audited: Audited) -> None:
    token = await audited.ehr.bearer("user/*.cruds", user=audited.ehr.doctor)
    for url in ("$tree-head", "1/$inclusion-proof", "$consistency-proof?first=1"):
        assert (await audited.ehr.fhir(f"AuditEvent/{url}", token)).status_code == 403


async def test_what_the_log_does_not_have_is_refused(audited: Audited) -> None:
    await audited.events()
    token = await audited.token()
    for url, status in (
        ("99999/$inclusion-proof", 404),
        ("x/$inclusion-proof", 404),
        ("1/$inclusion-proof?size=99999", 400),
        ("3/$inclusion-proof?size=2", 400),
        ("$consistency-proof?first=99999", 400),
        ("$consistency-proof?first=3&second=2", 400),
    ):
        assert (await audited.ehr.fhir(f"AuditEvent/{url}", token)).status_code == status


async def test_an_event_that_retention_has_removed_is_still_proved(audited: Audited) -> None:
    store = audited.ehr.desk.store
    old = [row_of(1, agent_text(Agent("ann")), Event("read", 200, f"Patient/{number}", 1)) for number in range(300)]
    await store.audit.append(old)  # a log takes no older time than its newest, so these are as young as the others
    before = await asked(audited, "7/$inclusion-proof")
    await Ledger(store, lambda: 1).cut(256, lambda written: [])
    await store.audit.cut(257)
    assert (await audited.ehr.fhir("AuditEvent/7", await audited.token())).status_code == 404
    after = await asked(audited, f"7/$inclusion-proof?size={before['size'][0]}")
    assert "entry" not in after
    assert after["leaf"] == before["leaf"] == [b64encode(leaf_hash(b64decode(before["entry"][0]))).decode()]
    hashes = [b64decode(each) for each in after["hash"]]
    assert included(b64decode(after["leaf"][0]), 6, after["size"][0], hashes, b64decode(before["root"][0]))
    total = (await audited.ehr.fhir("AuditEvent?_summary=count", await audited.token())).json()["total"]
    assert total <= await store.audit.size() - 256
