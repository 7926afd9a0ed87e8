"""The table of requirements is complete, and docs/smart.md is made from it."""

import csv

from scripts.generate_smart import PLACE, text
from tests.conformance.smart.requirements import DECISIONS, listed, proofs
from tests.shared_data import shared_data


def test_every_requirement_is_proved_or_decided() -> None:
    known = {each.id for each in listed()}
    found = proofs()
    assert len(known) == 265
    assert sorted(known - found.keys() - DECISIONS.keys(), key=int) == []
    assert sorted((found.keys() | DECISIONS.keys()) - known, key=int) == [], "numbers that are none"


def test_each_shall_has_a_test_and_nothing_is_both_proved_and_decided() -> None:
    found = proofs()
    assert [each.id for each in listed() if each.binding and each.id not in found] == []
    assert sorted(found.keys() & DECISIONS.keys()) == []


def test_the_list_is_that_of_the_specification() -> None:
    path = shared_data("smart") / "server-requirements-2.2.0.csv"
    with path.open(newline="") as file:
        rows = [(row["ID"], row["Conformance"], row["URL"].split("STU2.2/")[-1]) for row in csv.DictReader(file)]
    assert [(each.id, each.level, each.section) for each in listed()] == rows


def test_the_document_is_up_to_date() -> None:
    assert PLACE.read_text() == text(), "run scripts/generate_smart.py"
