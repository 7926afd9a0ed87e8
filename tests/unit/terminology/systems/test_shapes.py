"""Codes that cannot be codes of a system, loaded or not."""

import pytest

from fhir_server.terminology.systems.shapes import impossible

SNOMED, LOINC = "http://snomed.info/sct", "http://loinc.org"


@pytest.mark.parametrize(
    ("system", "code", "never"),
    [
        *((SNOMED, "138875005", False), (SNOMED, "900000000000207008", False), (SNOMED, "731000124108", False)),
        *((SNOMED, "138875006", True), (SNOMED, "1", True), (SNOMED, "276885007x", True), (SNOMED, "", True)),
        # a description, by its partition
        (SNOMED, "754786011", True),
        (SNOMED, "404684003:363698007=39057004", False),
        *((LOINC, "8480-6", False), (LOINC, "2339-0", False), (LOINC, "8480-5", True), (LOINC, "glucose", True)),
        *((LOINC, "LP14635-4", False), (LOINC, "LA27975-4", False), (LOINC, "12345678-1", True)),
        ("urn:other", "anything", False),
    ],
)
def test_form_and_check_digit_tell_what_can_never_be_a_code(system: str, code: str, never: bool) -> None:
    assert impossible(system, code) is never
