"""CodeSystem resources as held code systems."""

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_server.errors import BadValue
from fhir_server.terminology.loaders.resource import Resource
from tests.unit.terminology.loaders.reading import designations, held, properties, selected

SYSTEM: dict[str, Any] = {
    "resourceType": "CodeSystem",
    "url": "urn:zoo",
    "version": "1.0",
    "name": "Zoo",
    "status": "active",
    "content": "complete",
    "caseSensitive": False,
    "hierarchyMeaning": "is-a",
    "property": [{"code": "legs", "uri": "urn:legs", "type": "integer"}, {"code": "weight", "type": "decimal"}],
    "concept": [
        {
            "code": "Animal",
            "definition": "Lives",
            "property": [{"code": "notSelectable", "valueBoolean": True}],
            "concept": [
                {
                    "code": "Dog",
                    "display": "Dog",
                    "designation": [{"language": "de", "use": {"system": "urn:u", "code": "x"}, "value": "Hund"}],
                    "property": [{"code": "legs", "valueInteger": 4}, {"code": "weight", "valueDecimal": 10.50}],
                }
            ],
        },
        {
            "code": "Bat",
            "property": [{"code": "parent", "valueCode": "Animal"}, {"code": "status", "valueCode": "retired"}],
        },
        {"code": "Tagged", "property": [{"code": "tag", "valueCoding": {"system": "urn:t", "code": "t"}}]},
    ],
}


def write(folder: Path, resource: Any) -> Path:
    path = folder / "zoo.json"
    path.write_text(resource if isinstance(resource, str) else json.dumps(resource))
    return path


def test_a_resource_becomes_a_held_system(tmp_path: Path) -> None:
    system = held(Resource(write(tmp_path, SYSTEM)), tmp_path / "held")
    assert (system.header.version, system.header.hierarchy, system.header.name) == ("1.0", True, "Zoo")
    assert list(system.descendants("animal")) == ["Dog", "Bat"]
    assert designations(system, "Dog") == [("de", "x", "Hund")]
    assert properties(system, "dog")["legs"] == [4]
    assert str(properties(system, "dog")["weight"][0]) == "10.5"
    assert properties(system, "Tagged")["tag"] == [{"system": "urn:t", "code": "t"}]
    assert selected(system, "legs", "=", "4") == ["Dog"]
    assert [selected(system, flag, "=", "true") for flag in ("notSelectable", "inactive")] == [["Animal"], ["Bat"]]
    assert next(each for each in system.header.properties if each.code == "legs").uri == "urn:legs"


@pytest.mark.parametrize(
    ("resource", "message"),
    [
        ("{", "zoo.json: "),
        ("[]", "is not a CodeSystem"),
        ({"resourceType": "Patient"}, "is not a CodeSystem"),
        (SYSTEM | {"content": "not-present"}, "has no concepts of its own"),
        ({name: value for name, value in SYSTEM.items() if name != "url"}, "give --url"),
        (SYSTEM | {"concept": [{"display": "x"}]}, "a concept has no code"),
        (SYSTEM | {"concept": [{"code": "Dog"}, {"code": "dog"}]}, "'dog' is defined twice"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, resource: Any, message: str) -> None:
    with pytest.raises(BadValue, match=message):
        held(Resource(write(tmp_path, resource)), tmp_path / "held")
