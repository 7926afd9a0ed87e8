"""Every Synthea resource can be written under full validation."""

import bz2
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.model.json import decode, minify
from fhir_server.validation import Wanted
from tests.shared_data import shared_data
from tests.unit.validation.rules.full import validator

WRITE = Wanted(errors_only=True, codes="warning", implied=False, prose=False)


def resources(bundles: int | None) -> Iterator[Any]:
    for path in sorted(shared_data("synthea").glob("*.bz2"))[:bundles]:
        yield from (entry["resource"] for entry in decode(minify(bz2.decompress(path.read_bytes())))["entry"])


def refused(bundles: int | None) -> tuple[int, list[str]]:
    """The number of resources in some bundles, and what is refused."""
    count, found = 0, []
    for resource in resources(bundles):
        count += 1
        found += [issue.diagnostics for issue in validator().look(resource, None, WRITE).issues]
    return count, found


def test_synthea_resources_are_written_in_full() -> None:
    count, found = refused(8)
    assert count > 1_000
    assert found == []


@pytest.mark.slow
def test_all_synthea_resources_are_written_in_full() -> None:
    assert refused(None) == (27_927, [])
