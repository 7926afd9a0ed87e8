"""The OperationDefinitions, under the canonical URLs of the specifications that they are of."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fhir_server.plugin_api import decode


@cache
def definition(name: str) -> Mapping[str, Any]:
    """Return one of them: `export` is `export.json` in this folder."""
    found: Mapping[str, Any] = decode(files(__package__).joinpath(f"{name}.json").read_bytes())
    return found
