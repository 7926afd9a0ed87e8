"""The fast way for plain paths gives what the general compiler gives, on every parameter and every example."""

import bz2
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from fhir_server import definitions
from fhir_server.fhirpath import Expression, compile_expression
from fhir_server.fhirpath.conditions import compile_for
from fhir_server.fhirpath.node import Node, children, root
from fhir_server.fhirpath.types import TypeModel
from tests.shared_data import shared_data

_decoder = msgspec.json.Decoder(float_hook=Decimal)


def examples() -> Iterator[dict[str, Any]]:
    with zipfile.ZipFile(next(shared_data("hl7-examples").glob("*.zip"))) as archive:
        for name in archive.namelist():
            if name.endswith(".json"):
                yield _decoder.decode(archive.read(name))
    for path in sorted(shared_data("synthea").glob("*.bz2"))[:3]:
        yield from (entry["resource"] for entry in _decoder.decode(bz2.decompress(path.read_bytes()))["entry"])


def expressions() -> dict[str, list[Expression]]:
    found: dict[str, list[Expression]] = {}
    for parameter in definitions.load().search_parameters:
        for base in parameter.base if parameter.expression else ():
            found.setdefault(base, []).append(compile_expression(str(parameter.expression)))
    return found


def test_both_ways_agree_on_every_search_parameter_and_every_example() -> None:
    by_base = expressions()
    compared = 0
    for resource in examples():
        bases = (resource["resourceType"], "DomainResource", "Resource")
        for expression in [e for base in bases for e in by_base.get(base, ())]:
            general = [n.value if n.value is not None else n.extra for n in expression.evaluate(resource)]
            assert expression.values(resource) == general, expression.source
            compared += bool(general)
    assert compared > 5_000


def below(node: Node, model: TypeModel) -> Iterator[Node]:
    yield node
    for child in children(node, model):
        yield from below(child, model)


def test_both_ways_agree_on_every_invariant_and_every_element_of_small_examples() -> None:
    model = compile_expression("id").model
    rules: dict[str, list[Expression]] = {}
    for invariant in definitions.load().invariants.values():
        for path in invariant.paths:
            rules.setdefault(path, []).append(compile_expression(invariant.expression))
    compared = 0
    for resource in [r for r in examples() if len(str(r)) < 15_000]:
        for node in below(root(resource, model), model):
            for rule in [r for r in rules.get(str(node.type), ()) if r.is_plain(str(node.type))]:
                general = [n.value for n in rule.evaluate(resource, context=node)]
                assert rule.for_type(node.type)(node.value) == general, (rule.source, node)
                compared += 1
    assert compared > 5_000


def test_most_invariants_take_the_fast_way() -> None:
    facts = definitions.load()
    rules = [(i.expression, path) for i in facts.invariants.values() for path in i.paths if path in facts.types]
    plain = sum(compile_expression(expression).is_plain(path) for expression, path in rules)
    assert plain / len(rules) > 0.8


def test_nearly_all_search_parameters_take_the_fast_way() -> None:
    model = compile_expression("id").model
    pairs = [(base, e) for base, found in expressions().items() if model.is_resource(base) for e in found]
    slow = {e.source for base, e in pairs if compile_for(e.tree, model, base) is None}
    assert slow <= {"Bundle.entry[0].resource"}


@pytest.mark.parametrize(
    ("expression", "resource"),
    [
        (
            "Patient.name.given",
            {"resourceType": "Patient", "name": [{"given": [None, "x"], "_given": [{"id": "1"}, None]}]},
        ),
        ("Patient.birthDate", {"resourceType": "Patient", "_birthDate": {"id": "1"}}),
        ("Patient.birthDate", {"resourceType": "Patient", "birthDate": "2020", "_birthDate": {"id": "1"}}),
        (
            "Patient.name.family | Patient.name.given",
            {"resourceType": "Patient", "name": [{"family": "x", "given": ["x", "y"]}]},
        ),
        (
            "Patient.deceased.exists() and Patient.deceased != false",
            {"resourceType": "Patient", "deceasedDateTime": "2020"},
        ),
        (
            "Patient.deceased.exists() and Patient.deceased != false",
            {"resourceType": "Patient", "_deceasedBoolean": {"id": "1"}},
        ),
        ("Patient.active = true", {"resourceType": "Patient", "active": True}),
        ("Patient.active = true", {"resourceType": "Patient"}),
        ("Patient.name.use != 'old'", {"resourceType": "Patient", "name": [{"use": "old"}, {"use": "old"}]}),
        ("Patient.name.exists(use = 'old').not()", {"resourceType": "Patient", "name": [{"use": "old"}]}),
        (
            "Patient.extension('u').value",
            {"resourceType": "Patient", "extension": [{"url": "u", "valueCode": "c"}, {"url": "v"}]},
        ),
        (
            "Patient.name.all(family.exists() or given.count() > 1)",
            {"resourceType": "Patient", "name": [{"given": ["x"]}]},
        ),
        ("Patient.gender in ('male' | 'female')", {"resourceType": "Patient", "gender": "other"}),
        ("Patient.gender in ('male' | 'female')", {"resourceType": "Patient", "_gender": {"id": "1"}}),
        ("Patient.gender.startsWith('m')", {"resourceType": "Patient"}),
        ("Patient.gender.matches('^m')", {"resourceType": "Patient", "_gender": {"id": "1"}}),
        ("Patient.active and Patient.gender.exists()", {"resourceType": "Patient", "active": False}),
        ("Patient.active implies Patient.gender.exists()", {"resourceType": "Patient", "gender": "male"}),
        ("Patient.active xor Patient.gender.exists()", {"resourceType": "Patient", "active": True, "gender": "male"}),
        ("Patient.name.count() + Patient.contact.count() >= 2", {"resourceType": "Patient", "name": [{}, {}]}),
        ("Patient.deceased is dateTime", {"resourceType": "Patient", "deceasedBoolean": True}),
        ("Patient.deceased is dateTime", {"resourceType": "Patient", "_deceasedDateTime": {"id": "x"}}),
        ("Patient.gender is string", {"resourceType": "Patient", "gender": "male"}),
        ("Patient.name.given.isDistinct()", {"resourceType": "Patient", "name": [{"given": ["x", "x"]}]}),
        ("Patient.birthDate.hasValue()", {"resourceType": "Patient", "_birthDate": {"id": "x"}}),
        ("Patient.multipleBirth.ofType(integer) > 1", {"resourceType": "Patient", "multipleBirthInteger": 2}),
        (
            "Encounter.period.start <= Encounter.period.end",
            {"resourceType": "Encounter", "period": {"start": "2020-01-01T10:00:00Z", "end": "2020-01-01"}},
        ),
        (
            "Encounter.period.start <= Encounter.period.end",
            {"resourceType": "Encounter", "period": {"start": "2020-01", "end": "2020-02-01"}},
        ),
        ("Observation.value.ofType(Quantity) > 5", {"resourceType": "Observation", "valueQuantity": {"value": 6.5}}),
        (
            "Bundle.entry.all(resource is Patient)",
            {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient"}}, {"resource": {}}]},
        ),
        ("Patient.name[0]", {"resourceType": "Patient", "name": [{"family": "x"}, {"family": "y"}]}),
        ("Patient.name.first().given.first()", {"resourceType": "Patient", "name": [{"given": ["a", "b"]}]}),
        ("Patient.name.given", {"resourceType": "Patient", "name": {"given": "not a list"}}),
        ("Patient.name.given", {"resourceType": "Patient", "name": ["broken", {"given": ["x"]}]}),
        ("Observation.value", {"resourceType": "Observation", "valueQuantity": {"value": 1}}),
        ("Observation.value as Quantity", {"resourceType": "Observation", "valueString": "x"}),
        ("Observation.value.ofType(string)", {"resourceType": "Observation", "valueString": "x"}),
        (
            "Observation.effective | Observation.issued",
            {
                "resourceType": "Observation",
                "effectiveDateTime": "2020-01-01T00:00:00Z",
                "issued": "2020-01-01T01:00:00+01:00",
            },
        ),
    ],
)
def test_both_ways_agree_on_odd_data(expression: str, resource: dict[str, Any]) -> None:
    found = compile_expression(expression)
    assert compile_for(found.tree, found.model, resource["resourceType"]) is not None
    general = [n.value if n.value is not None else n.extra for n in found.evaluate(resource)]
    assert found.values(resource) == general
