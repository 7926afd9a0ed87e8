"""The page of the scores says what the code does."""

import re
from pathlib import Path

from fhir_ai.scores import SCORES
from fhir_ai.scores.table import CHECKS, markdown

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "ai" / "scores.md").read_text()


def test_page_has_the_tables_of_the_code() -> None:
    assert PAGE.endswith(markdown())


def test_every_score_has_a_row_with_its_check() -> None:
    for name in SCORES:
        assert f"| `{name}` " in PAGE
    assert {name for name in CHECKS if not any(score.startswith(name) for score in SCORES)} == set()


def test_example_of_the_page_runs_as_it_says() -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example
    names: dict[str, object] = {}
    code, said = example[1].split("print(result.value, result.band)  # ")
    exec(code, names)
    result = names["result"]
    assert f"{result.value} {result.band}" == said.strip()  # type: ignore[attr-defined]
