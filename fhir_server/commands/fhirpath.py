"""`fhir-server fhirpath`: evaluate an expression on a file; nothing is served and nothing is stored."""

import argparse
import sys
from pathlib import Path
from typing import Any

from fhir_server.api.xml import xml_to_json
from fhir_server.commands.configuration import ConfigurationError
from fhir_server.definitions import load
from fhir_server.errors import BadJson
from fhir_server.fhirpath import FhirPathError, Node, compile_expression
from fhir_server.fhirpath.types import default_model
from fhir_server.model.json import JsonError, decode, encode
from fhir_server.serving.door import CommandFailed
from fhir_server.settings import Settings

HELP = "Evaluate a FHIRPath expression on a resource (JSON or XML)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the expression, the file and variables."""
    parser.add_argument("expression", metavar="EXPR", help="the expression, such as Patient.name.given")
    parser.add_argument("file", type=Path, metavar="FILE", help="a resource in JSON or XML; - reads standard input")
    parser.add_argument(
        "--variable", action="append", default=[], metavar="NAME=JSON", help="a value for %%NAME (repeatable)"
    )
    parser.add_argument("--plain", action="store_true", help="print values only, one JSON value a line")


def run(settings: Settings, flags: argparse.Namespace) -> int:
    """Print place, type and value of each result; the status is 0 also where there is none."""
    resource = _resource(flags.file, settings.max_depth)
    variables = dict(_variable(text) for text in flags.variable)
    try:
        results = compile_expression(flags.expression).evaluate(resource, variables)
    except FhirPathError as error:
        raise CommandFailed(_pointed(flags.expression, error)) from None
    for node in results:
        print(_line(node, plain=flags.plain))  # noqa: T201
    return 0


def _resource(path: Path, max_depth: int) -> Any:
    """Read the file.

    Raises:
        CommandFailed: it cannot be read, or is neither JSON nor XML.
    """
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        if raw.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
            raw = xml_to_json(raw, load(), max_depth)
        return decode(raw, max_depth=max_depth)
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}") from None
    except (JsonError, BadJson) as error:
        raise CommandFailed(f"{path}: {error}") from None


def _variable(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ConfigurationError(f"--variable takes NAME=JSON, not {text!r}")
    try:
        return name.removeprefix("%"), decode(value.encode())
    except JsonError:
        return name.removeprefix("%"), value


def _pointed(expression: str, error: FhirPathError) -> str:
    """Show the line of the expression that is wrong, with a mark below the place."""
    if error.position is None:
        return str(error)
    line = expression.split("\n")[error.position.line - 1]
    return f"{error}\n  {line}\n  {' ' * (error.position.column - 1)}^"


def _line(node: Node, *, plain: bool) -> str:
    text = encode(node.value).decode()
    if plain:
        return text
    place = node.path(default_model()) if node.parent is not None else ""
    return "\t".join(part for part in (place, node.type or "", text) if part)
