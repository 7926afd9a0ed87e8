"""docs/messaging.md says what is in force."""

from pathlib import Path

from fhir_messaging.settings import MessagingSettings

DOCS = (Path(__file__).parents[3] / "docs" / "messaging.md").read_text()


def test_every_setting_stands_in_the_table() -> None:
    for name, field in MessagingSettings.model_fields.items():
        assert f"| `{name}` | `{field.default}` | {field.description} |" in DOCS
