"""What a model said, for tests."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fhir_ai.registry.recorder import UNKNOWN, Said

NOW = 1_750_000_000_000
DAY = 86_400_000


def said(patient: str = "1", **changes: Any) -> Callable[..., Said]:
    """Return a maker of what was said of a patient; it takes groups."""
    row = Said(
        model="tiny", version="1.0.0", at=NOW, patient=patient, role="champion", probability=0.3, flagged=False,
        kind="", values={"age": 60.0, "creatinine": 1.0}, groups={}, due=NOW + 30 * DAY, outcome=UNKNOWN,
    )  # fmt: skip

    def made(groups: Mapping[str, str] | None = None) -> Said:
        return replace(row, groups=groups or {}, **changes)

    return made
