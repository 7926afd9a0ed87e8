"""docs/mcp.md says what is in force."""

from pathlib import Path

from fhir_mcp.reading import reading_tools
from fhir_mcp.settings import McpSettings
from fhir_mcp.writing import writing_tools

DOCS = (Path(__file__).parents[3] / "docs" / "mcp.md").read_text()


def test_every_setting_stands_in_the_table() -> None:
    for name, field in McpSettings.model_fields.items():
        assert f"| `{name}` | `{field.default}` | {field.description} |" in DOCS


def test_every_tool_is_named() -> None:
    for tool in (*reading_tools(), *writing_tools()):
        assert f"`{tool.name}`" in DOCS
