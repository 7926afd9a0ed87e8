"""htmlChecks: what a narrative may hold."""

import pytest

from fhir_server.fhirpath.narrative import is_narrative


def div(content: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml">{content}</div>'


@pytest.mark.parametrize(
    "content",
    [
        "<p>Hello</p>",
        "<p style='color: red'>x &amp; y &#160;</p>",
        "<!-- note --><b>x</b>",
        '<img src="#x" alt="x"/>',
        '<a href="http://x.org">x</a>',
        '<table><tbody><tr><td rowspan="2">x</td></tr></tbody></table>',
        '<p xml:lang="en">x</p>',
    ],
)
def test_plain_formatting_is_allowed(content: str) -> None:
    assert is_narrative(div(content))


@pytest.mark.parametrize(
    "text",
    [
        div("<script>alert(1)</script>"),
        div('<p onclick="x()">x</p>'),
        div('<a href="java\tscript:x()">x</a>'),
        div("<form><input/></form>"),
        div("<object/>"),
        div("  "),
        div("<p>open"),
        "<div>no namespace</div>",
        "<p xmlns='http://www.w3.org/1999/xhtml'>no div</p>",
        "text",
        '<!DOCTYPE div [<!ENTITY a "aaaa">]>' + div("&a;"),
        div('<svg xmlns="http://www.w3.org/2000/svg"/>x'),
        "",
    ],
)
def test_what_runs_loads_or_is_broken_is_not(text: str) -> None:
    assert not is_narrative(text)
