"""Snapshots of new types. Spec: https://hl7.org/fhir/R4/structuredefinition.html#logical"""

from fhir_server.snapshot import snapshot
from tests.unit.snapshot.profiles import R4, Json, by_ids, library, profile, said


def text(path: str, type_: str = "string", short: str = "s") -> Json:
    return said(path, min=0, max="1", type=[{"code": type_}], short=short)


def test_a_specialization_adds_elements_to_those_it_inherits() -> None:
    new = profile(
        "Visit",
        said("Visit", short="A visit"),
        text("Visit.reason", short="Why"),
        text("Visit.stop", "BackboneElement"),
        text("Visit.stop.place"),
        base=R4 + "DomainResource",
        derivation="specialization",
    )
    found = by_ids(snapshot(new, library()))
    assert list(found)[:2] == ["Visit", "Visit.id"]
    assert found["Visit.text"]["base"]["path"] == "DomainResource.text"
    assert found["Visit.reason"]["base"] == {"path": "Visit.reason", "min": 0, "max": "1"}
    assert [rule["key"] for rule in found["Visit.reason"]["constraint"]] == ["ele-1"]
    assert list(found)[-4:] == [
        "Visit.stop.id",
        "Visit.stop.extension",
        "Visit.stop.modifierExtension",
        "Visit.stop.place",
    ]


def test_a_logical_model_may_have_no_base() -> None:
    model = profile("Model", said("Model", short="m"), text("Model.part"), kind="logical", derivation="specialization")
    del model["baseDefinition"]
    found = by_ids(snapshot(model | {"type": "http://example.org/Model"}, library()))
    assert list(found) == ["Model", "Model.part"]


def test_a_logical_model_may_be_based_on_nothing_at_all() -> None:
    model = profile("Model", text("Model.part"), kind="logical", derivation="specialization", base=R4 + "Base")
    assert list(by_ids(snapshot(model, library()))) == ["Model", "Model.part"]


def test_a_logical_model_based_on_element_has_ids_and_extensions() -> None:
    model = profile("Model", text("Model.part"), kind="logical", derivation="specialization", base=R4 + "Element")
    assert list(by_ids(snapshot(model, library()))) == ["Model", "Model.id", "Model.extension", "Model.part"]


def test_a_new_data_type() -> None:
    new = profile("Colour", text("Colour.hue"), kind="complex-type", derivation="specialization", base=R4 + "Element")
    found = by_ids(snapshot(new, library()))
    assert list(found) == ["Colour", "Colour.id", "Colour.extension", "Colour.hue"]
    assert [rule["key"] for rule in found["Colour"]["constraint"]] == ["ele-1"]


def test_a_profile_of_an_abstract_type() -> None:
    abstract = profile("DomainResource", said("DomainResource.text", min=1))
    found = by_ids(snapshot(abstract, library()))
    assert found["DomainResource.text"]["min"] == 1


def test_a_definition_without_differential_keeps_its_snapshot() -> None:
    own = {"element": [{"id": "Model", "path": "Model", "min": 0, "max": "*"}]}
    model = profile("Model", kind="logical") | {"snapshot": own}
    del model["differential"]
    assert list(by_ids(snapshot(model, library()))) == ["Model"]
