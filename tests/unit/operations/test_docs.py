"""docs/operations.md is held to the registry."""

from pathlib import Path

from fhir_server.operations.core import core_operations

DOCS = Path(__file__).parents[3] / "docs" / "operations.md"


def test_every_operation_is_documented_with_its_summary() -> None:
    text = DOCS.read_text()
    for operation in core_operations():
        row = next(line for line in text.splitlines() if operation.summary in line)
        assert row.startswith(f"| `${operation.facts.code}`")


def test_nothing_else_is_documented() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `$")]
    assert len(rows) == len(core_operations())
