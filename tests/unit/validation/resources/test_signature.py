"""Signatures of Bundles."""

import base64
import datetime
import json
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jws
from joserfc.jwk import ECKey

from tests.unit.validation.resources.told import issues, told

CANONICAL = "http://hl7.org/fhir/canonicalization/json"


@cache
def signer() -> tuple[ec.EllipticCurvePrivateKey, str]:
    """A key, and its certificate in base64."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=9))
    der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    return key, base64.b64encode(der).decode()


def content() -> dict[str, Any]:
    resource = {"resourceType": "Patient", "id": "p", "text": {"status": "generated", "div": "<div/>"}}
    entry = [{"resource": resource, "fullUrl": "http://example.org/fhir/Patient/p"}]
    return {"type": "collection", "resourceType": "Bundle", "id": "b", "entry": entry}


def signed(over: dict[str, Any], method: str = CANONICAL, *, payload: bool = False, **header: Any) -> dict[str, Any]:
    """A Bundle whose signature was made over other content."""
    key, certificate = signer()
    protected = {"alg": "ES256", "canon": method, "x5c": [certificate], **header}
    registry = jws.JWSRegistry(strict_check_header=False)
    registry.max_header_length = 10_000
    data = json.dumps(over, sort_keys=True, separators=(",", ":"))
    token = jws.serialize_compact(protected, data, ECKey.import_key(key), registry=registry)
    if not payload:
        first, _, last = token.split(".")
        token = f"{first}..{last}"
    signature = {"sigFormat": "application/jose", "data": base64.b64encode(token.encode()).decode()}
    return {**content(), "signature": signature}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in content().items() if name not in names}


@pytest.mark.parametrize(
    ("over", "method", "errors"),
    [
        (content(), CANONICAL, 0),
        (without("id"), CANONICAL, 1),
        (without("id"), f"{CANONICAL}#document", 0),
        ({**content(), "type": "batch"}, CANONICAL, 1),
    ],
)
def test_a_signature_is_over_what_the_bundle_holds(over: dict[str, Any], method: str, errors: int) -> None:
    made = signed(over, method)
    assert told(made) == ["Bundle"] * errors
    assert told(made, severity="information") == ["Bundle"] * (1 - errors)


def test_a_payload_of_its_own_must_be_that_of_the_bundle() -> None:
    good, bad = signed(content(), payload=True), signed(without("id"), payload=True)
    assert (told(good), told(good, severity="warning")) == ([], ["Bundle"])
    assert told(bad) == ["Bundle"]


def test_a_signature_by_another_key_is_wrong() -> None:
    made = signed(content())
    token = base64.b64decode(made["signature"]["data"]).decode()
    forged = token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB")
    made["signature"]["data"] = base64.b64encode(forged.encode()).decode()
    assert told(made) == ["Bundle"]


@pytest.mark.parametrize(
    "made",
    [
        signed(content(), x5c=[]),
        signed(content(), x5c=["!"]),
        signed(content(), "http://example.org/other"),
        signed(content(), f"{CANONICAL}#other"),
        {**content(), "signature": {"sigFormat": "application/jose", "data": "QUJD"}},
        {**content(), "signature": {"sigFormat": "application/jose", "data": "e30uLmU="}},
    ],
)
def test_what_cannot_be_verified_is_a_warning(made: dict[str, Any]) -> None:
    assert [one.severity for one in issues(made)] == ["warning"]


def test_other_formats_are_left_alone() -> None:
    assert issues({**content(), "signature": {"sigFormat": "application/signature+xml", "data": "QUJD"}}) == []
