"""Both roads of the validator say the same of every resource, whatever was done to it, and neither ever raises."""

import bz2
import zipfile
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.definitions import load
from fhir_server.errors import Issue
from fhir_server.model.json import decode
from fhir_server.validation import StructureValidator, structure_validator
from fhir_server.validation.structure.checks import BAD
from tests.shared_data import shared_data

LARGEST = 20_000
VALUES: tuple[Any, ...] = (
    *(
        "",
        " ",
        "x",
        "x y",
        "#a",
        "#",
        "Patient/1",
        "urn:uuid:x",
        "2024-02-30",
        "2024",
        "\x01",
        "\u00a0",
        "\ufffe",
        "male",
    ),
    *(None, True, False, 0, -1, 1, 2**31, Decimal("1.0"), Decimal("1E+9"), 1.5),
    *([], {}, [None], [{}], ["x"], {"id": "x"}, {"extension": []}, {"extension": [{"url": "u:a", "valueCode": "x"}]}),
    *([{"extension": [{"url": "u:a", "valueCode": "x"}]}], {"coding": [{"code": "x"}]}, {"reference": "Patient/1"}),
    *({"resourceType": "Patient"}, {"resourceType": "Patient", "id": "a"}, [{"resourceType": "Basic", "id": "a"}]),
)
NAMES = (
    *(
        "id",
        "extension",
        "url",
        "value",
        "valueString",
        "valueCode",
        "code",
        "coding",
        "reference",
        "type",
        "contained",
    ),
    *("_id", "_status", "status", "text", "div", "resourceType", "modifierExtension", "foo", "_foo", "", "_", "meta"),
)


def _documents() -> Iterator[bytes]:
    with zipfile.ZipFile(shared_data("hl7-examples") / "r4-examples.zip") as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".json") and archive.getinfo(name).file_size < LARGEST:
                yield archive.read(name)


@cache
def examples() -> list[Any]:
    """HL7's examples but for the large ones, and the resources of two Synthea bundles."""
    found = [decode(raw) for raw in _documents()]
    for path in sorted(shared_data("synthea").glob("*.bz2"))[:2]:
        found += [entry["resource"] for entry in decode(bz2.decompress(path.read_bytes()))["entry"]]
    return found


def containers(value: Any) -> Iterator[Any]:
    """Every object and list of a resource."""
    open_ = [value]
    while open_:
        value = open_.pop()
        if isinstance(value, (dict, list)) and value:
            yield value
            open_.extend(value.values() if isinstance(value, dict) else value)


def mutate(resource: Any, random: Random) -> None:
    """Do one thing to a place of a resource: delete, add, rename, change, repeat, wrap or move."""
    target = random.choice(list(containers(resource)))
    keys = list(target) if isinstance(target, dict) else list(range(len(target)))
    key = random.choice(keys)
    value = target[key]
    action = random.randrange(9)
    if action == 0:
        del target[key]
    elif action == 1:
        target[key] = deepcopy(random.choice(VALUES))
    elif action == 2:
        target[key] = [value]
    elif action == 3 and isinstance(value, list) and value:
        target[key] = value[0] if random.random() < 0.5 else value + value
    elif action == 4:
        target[key] = (
            str(value) if not isinstance(value, str) else random.choice((value + " ", " " + value, value.upper()))
        )
    elif action == 5:
        target[key] = deepcopy(random.choice(list(containers(resource))))
    elif isinstance(target, dict):
        _mutate_object(target, key, random)
    else:
        target.insert(random.randrange(len(target) + 1), deepcopy(random.choice(VALUES)))


def _mutate_object(target: dict[str, Any], key: str, random: Random) -> None:
    action = random.randrange(4)
    if action == 0:
        target[random.choice(NAMES)] = deepcopy(random.choice(VALUES))
    elif action == 1:
        target["_" + key] = deepcopy(random.choice(VALUES))
    elif action == 2:
        target[random.choice((*NAMES, "_" + key, key + "x", key[:-1]))] = target.pop(key)
    else:
        items = list(target.items())
        random.shuffle(items)
        target.clear()
        target.update(items)


def agreed(validator: StructureValidator, resource: Any) -> list[Issue]:
    """The findings, if the generated checks, the closures and the walker agree."""
    found = validator.findings(resource)
    good = not found
    # Twice: what was not compiled the first time is now.
    assert [validator.road.good(resource, False), validator.road.good(resource, False)] == [good, good], found
    assert closures_say_good(validator, resource) == good, found
    return found


def closures_say_good(validator: StructureValidator, resource: Any) -> bool:
    """What the general checks say, which serve shapes that are not compiled."""
    try:
        return validator.road.closures.root(resource, False)
    except BAD:
        return False


@given(seed=st.integers(0, 2**64))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_roads_agree_on_changed_examples(seed: int) -> None:
    random = Random(seed)
    resource = deepcopy(random.choice(examples()))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if isinstance(resource, dict) and resource:
            mutate(resource, random)
    for issue in agreed(structure_validator(), resource):
        assert issue.diagnostics
        assert len(issue.diagnostics) < 2_000


def test_roads_agree_on_every_example() -> None:
    validator = StructureValidator(load())
    refused = [resource["id"] for resource in examples() if agreed(validator, resource)]
    assert len(refused) < 10


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)
TYPES = st.sampled_from(("Patient", "Observation", "Bundle", "Parameters", "Basic", "Binary", "Foo"))


@given(value=JSON)
def test_no_json_makes_the_validator_raise(value: Any) -> None:
    assert agreed(structure_validator(), value)


@given(value=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=6), type_=TYPES)
def test_no_content_of_a_resource_makes_the_validator_raise(value: dict[str, Any], type_: str) -> None:
    agreed(structure_validator(), {"resourceType": type_, **{k: v for k, v in value.items() if k != "resourceType"}})


@given(
    value=JSON, name=st.sampled_from(("extension", "contained", "text", "meta", "name", "_name", "gender", "_gender"))
)
def test_no_element_makes_the_validator_raise(value: Any, name: str) -> None:
    agreed(structure_validator(), {"resourceType": "Patient", name: value})
