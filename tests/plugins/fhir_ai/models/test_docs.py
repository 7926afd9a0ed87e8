"""The page of the models says what the models do."""

import re
from pathlib import Path

from fhir_ai.models import MODELS

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "ai" / "models.md").read_text(encoding="utf-8")


def test_every_model_has_a_row_with_the_figures_of_its_card() -> None:
    for name, model in MODELS.items():
        card = model.card()
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` {model.manifest.version} |"))
        area = card["auroc"]
        assert f"{area['value']:.3f} ({area['low']:.3f} to {area['high']:.3f})" in row
        assert f"{card['comparison'][0]['auroc']['value']:.3f}, better" in row
        assert f"in {100 * card['conformal']['coverage']:.0f} of 100" in PAGE


def test_example_of_the_page_runs_as_it_says() -> None:
    example = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert example
    code, said = example[1].split("print(")[0], example[1].split("  # ")[1].strip()
    names: dict[str, object] = {}
    exec(code, names)
    answer = names["answer"]
    assert f"{answer.probability:.3f} {answer.flagged} {answer.possible}" == said  # type: ignore[attr-defined]
