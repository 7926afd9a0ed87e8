"""CSV: columns, separators, parents, properties with types, and rows that are wrong."""

import gzip
from pathlib import Path

import pytest

from fhir_server.errors import BadValue
from fhir_server.terminology.loaders.table import Table
from tests.unit.terminology.loaders.reading import designations, held, properties, selected

CSV = """\
code,display,definition,parent,inactive,abstract,status,designation:de,property:weight:decimal,property:tame:boolean,hue
A,Animal,Lives,,,yes,,Tier,,,
B,"Bear, brown",,A,,,,Bär,300.50,false,brown
C,Cat,,A,,,active,,4,true,black
D,Half,,B|C,true,,retired,,,,
"""


def write(folder: Path, text: str = CSV, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_become_concepts(tmp_path: Path, delimiter: str) -> None:
    text = CSV.replace('"Bear, brown"', "Bear").replace(",", delimiter)
    system = held(Table(write(tmp_path, text), "urn:zoo", "3"), tmp_path / "held")
    assert (system.header.url, system.header.version, system.count()) == ("urn:zoo", "3", 4)
    assert list(system.descendants("A")) == ["B", "D", "C"]
    assert system.parents("D") == ["B", "C"]
    assert [selected(system, flag, "=", "true") for flag in ("abstract", "inactive")] == [["A"], ["D"]]
    assert selected(system, "status", "=", "retired") == ["D"]
    assert designations(system, "B") == [("de", "", "Bär")]
    assert selected(system, "hue", "in", "brown, black") == ["B", "C"]
    assert selected(system, "tame", "=", "true") == ["C"]


def test_values_have_the_types_of_their_columns(tmp_path: Path) -> None:
    found = properties(held(Table(write(tmp_path), "urn:zoo"), tmp_path / "held"), "B")
    assert {name: str(values[0]) for name, values in found.items()} == {
        "weight": "300.50",
        "tame": "False",
        "hue": "brown",
    }


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode()))
    assert len(list(Table(path, "urn:zoo").codes())) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,display\nA,B\n", "no column named code"),
        ("", "no column named code"),
        ("code,property:x:number\nA,1\n", "the type of the column"),
        ("code,display\nA,b,c\n", "the row of 'A' has more cells"),
        ("code,display\nA,b\nA,c\n", "the code 'A' is defined twice"),
        ("code,display\n,b\n", "there are no codes"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        held(Table(write(tmp_path, text), "urn:zoo"), tmp_path / "held")


def test_the_url_has_to_be_given(tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="give --url"):
        Table(write(tmp_path), "")
