"""Definitions: the ViewDefinitions of features, compiled by the plugin for views where that is there.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

from fhir_server.plugin_api import PluginContext, decode

COMPILER: Final = "view-compiler"


class View(Protocol):
    """A compiled view."""

    def objects(self, resource: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a resource as objects."""


Views = Mapping[str, View]
"""Views by the type of resource that they are of."""


@cache
def definitions() -> tuple[dict[str, Any], ...]:
    """Return the ViewDefinitions."""
    return tuple(decode(files(__package__).joinpath("views.json").read_bytes()))


def views_of(ctx: PluginContext) -> Views | None:
    """Return the compiled views; None where no plugin compiles views."""
    compile_view = ctx.services.get(COMPILER)
    if compile_view is None:
        return None
    found: Views | None = ctx.shared.get("features")
    if found is None:
        made: Any = compile_view
        found = ctx.shared["features"] = {each["resource"]: made(each) for each in definitions()}
    return found
