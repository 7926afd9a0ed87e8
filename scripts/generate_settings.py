"""Write docs/settings.md from the Settings model: python scripts/generate_settings.py."""

from pathlib import Path

from fhir_server.settings import SECTIONS
from fhir_server.settings.kinds import Section

_PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_HEAD = """# Settings

Each can stand in a TOML file (`--config FILE`), in a variable `FHIR_SERVER_<NAME>` in capitals, or be a flag
`--<name-with-dashes>`; flags win over variables, variables over the file. Lists are comma-separated. Sizes are bytes,
times seconds. This page is made from the code by `scripts/generate_settings.py`, and a test holds it to it.
"""


def page() -> str:
    """Return the page as it should be."""
    return "\n".join([_HEAD, *(_section(each) for each in SECTIONS)])


def _section(section: type[Section]) -> str:
    rows = [
        f"| `{name}` | `{_default(field.default)}` | {field.description} |\n"
        for name, field in section.model_fields.items()
    ]
    title = (section.__doc__ or "").rstrip(".")
    return f"## {title}\n| setting | default | meaning |\n|---|---|---|\n" + "".join(rows)


def _default(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    _PAGE.write_text(page())
