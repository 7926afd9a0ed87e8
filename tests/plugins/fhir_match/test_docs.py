"""docs/match.md says what is in force."""

from pathlib import Path

from fhir_match.settings import MatchSettings
from fhir_match.weights import PROBABILITIES

DOCS = (Path(__file__).parents[3] / "docs" / "match.md").read_text()


def test_every_level_stands_in_the_table_with_its_probabilities() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in DOCS.splitlines() if line.startswith("| ")]
    told = {row[0]: (float(row[1]), float(row[2])) for row in rows if len(row) == 4 and row[0] in PROBABILITIES}
    assert told == PROBABILITIES


def test_every_setting_stands_in_the_table() -> None:
    for name, field in MatchSettings.model_fields.items():
        assert f"| `{name}` | `{field.default}` | {field.description} |" in DOCS
