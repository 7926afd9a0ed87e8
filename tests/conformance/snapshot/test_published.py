"""Snapshots made from differentials are those that were published. docs/conformance/packages.md tells what differs."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.packages import core_library
from fhir_server.snapshot import SnapshotError, snapshot, structure
from tests.conformance.ig_packages import NAMES, library, package
from tests.conformance.snapshot.comparing import based_elsewhere, compared, said_by
from tests.conformance.snapshot.score import scores

MILLISECONDS = 20
# They name elements as slices that nothing says how to slice.
ODD = ("catalog", "familymemberhistory-genetic")


def test_enough_elements_are_as_published() -> None:
    for score in scores():
        assert score.enough, (score.name, score.share, score.misses[:20])


@pytest.mark.parametrize("name", ["us-core-6.1.0", "us-core-7.0.0"])
def test_every_profile_of_us_core_is_as_published(name: str) -> None:
    assert [text for result in compared(name) for text in result.differences] == []
    assert based_elsewhere(name) == ["us-core-questionnaireresponse"]


def test_a_typical_snapshot_takes_little_time() -> None:
    times = []
    for entry in package("us-core-7.0.0").entries:
        if entry.type == "StructureDefinition":
            times.append(_milliseconds(entry.parse()))
    assert sorted(times)[len(times) // 2] < MILLISECONDS


def _milliseconds(definition: Any) -> float:
    where = library("us-core-7.0.0")
    try:
        snapshot(definition, where)  # loads what it is based on
        started = time.perf_counter()
        snapshot(definition, where)
        return (time.perf_counter() - started) * 1_000
    except SnapshotError:
        return 0.0


def _definitions_of_r4() -> Iterator[Any]:
    for entry in core_library().all("StructureDefinition"):
        definition = entry.parse()
        if definition.get("derivation") and "snapshot" in definition and definition["id"] not in ODD:
            yield definition


def test_a_snapshot_said_as_differential_gives_itself() -> None:
    """R4 brings snapshots alone here; what they say in full, over their base, must come out as it went in."""
    seen = 0
    for definition in _definitions_of_r4():
        said = definition["snapshot"]["element"]
        made = snapshot({**definition, "differential": {"element": said}}, core_library())
        assert [each["id"] for each in made] == [each["id"] for each in said], definition["url"]
        for old, new in zip(said, made, strict=True):
            rules = [rule for rule in new.get("constraint", ()) if rule["key"] != "ele-1"]
            assert said_by(old) == said_by({**new, "constraint": rules}), (definition["url"], old["id"])
        seen += 1
    assert seen > 600


@pytest.mark.parametrize("name", NAMES)
def test_a_structure_has_a_snapshot(name: str) -> None:
    for entry in package(name).entries:
        if entry.type == "StructureDefinition":
            found = structure(library(name), entry.url)
            assert found is not None
            assert found["snapshot"]["element"]
