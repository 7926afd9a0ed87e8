"""Write docs/settings.md from the Settings model: python scripts/generate_settings.py."""

from pathlib import Path

from fhir_server.settings import Settings

_PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_HEAD = """# Settings

Each can stand in a TOML file (`--config FILE`), in a variable `FHIR_SERVER_<NAME>` in capitals, or be a flag
`--<name-with-dashes>`; flags win over variables, variables over the file. Lists are comma-separated. Sizes are bytes,
times seconds. This page is made from the code by `scripts/generate_settings.py`, and a test holds it to it.

| setting | default | meaning |
|---|---|---|
"""


def page() -> str:
    """Return the page as it should be."""
    rows = [
        f"| `{name}` | `{_default(field.default)}` | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return _HEAD + "\n".join(rows) + "\n"


def _default(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    _PAGE.write_text(page())
