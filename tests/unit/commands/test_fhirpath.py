"""`fhir-server fhirpath` prints results with their places, and points at what is wrong."""

import io
from pathlib import Path

import pytest

from fhir_server.cli import main

PATIENT = (
    b'{"resourceType":"Patient","birthDate":"1970-01-31","name":[{"given":["Ann","Bea"]}],"multipleBirthInteger":2}'
)
XML = b'<Patient xmlns="http://hl7.org/fhir"><birthDate value="1970-01-31"/></Patient>'


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "patient.json"
    path.write_bytes(PATIENT)
    return str(path)


def test_each_result_has_place_type_and_value(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fhirpath", "name.given | multipleBirth", file]) == 0
    assert capsys.readouterr().out.splitlines() == [
        'Patient.name[0].given[0]\tstring\t"Ann"',
        'Patient.name[0].given[1]\tstring\t"Bea"',
        "Patient.multipleBirth.ofType(integer)\tinteger\t2",
    ]


def test_variables_are_json_or_text(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["fhirpath", "--plain", "--variable", "n=5", "--variable", "who=Bea", "%n + 1 | %who", file])
    assert (status, capsys.readouterr().out) == (0, '6\n"Bea"\n')


def test_xml_is_read_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(XML)))
    assert main(["fhirpath", "--plain", "birthDate + 1 month", "-"]) == 0
    assert capsys.readouterr().out == '"1970-02-28"\n'


def test_a_wrong_expression_is_pointed_at(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fhirpath", "name.given.foo(", file]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "fhir-server fhirpath: unexpected: the expression ends here (line 1, column 16)",
        "  name.given.foo(",
        "                 ^",
    ]


@pytest.mark.parametrize("content", [b"{", b"<Patient", b"", b"1 2"])
def test_what_is_no_resource_is_refused_by_name(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken"
    path.write_bytes(content)
    status = main(["fhirpath", "name", str(path)])
    assert status == 1
    assert str(path) in capsys.readouterr().err
