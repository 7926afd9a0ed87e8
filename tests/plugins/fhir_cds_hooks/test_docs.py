"""docs/cds_hooks.md says what is in force."""

from pathlib import Path

from fhir_cds_hooks.settings import CdsHooksSettings

DOCS = (Path(__file__).parents[3] / "docs" / "cds_hooks.md").read_text()


def test_every_setting_stands_in_the_table() -> None:
    for name, field in CdsHooksSettings.model_fields.items():
        assert f"| `{name}` | `{field.default}` | {field.description} |" in DOCS
