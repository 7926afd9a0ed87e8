"""ImplementationGuide: how it names the guides that it depends on.

Spec: https://hl7.org/fhir/R4/implementationguide-definitions.html#ImplementationGuide.dependsOn
"""

import re
from collections.abc import Mapping
from typing import Any

from fhir_server.validation.place import Place
from fhir_server.validation.resources.values import objects, text
from fhir_server.validation.run import Run
from fhir_server.validation.structure.primitives import shorten

Json = Mapping[str, Any]

_package = re.compile(r"[A-Za-z][A-Za-z0-9_\-]*(?:\.[A-Za-z0-9_\-]+)+").fullmatch


def check(guide: Json, place: Place, run: Run) -> None:
    """Check every dependency."""
    for index, one in objects(guide, "dependsOn"):
        at = Place(place, "dependsOn", index)
        url, bar, version = text(one, "uri").partition("|")
        if bar and (not version or version != text(one, "version")):
            run.error(
                at, "business-rule", f"the version of a guide stands in version, not in {shorten(text(one, 'uri'))}"
            )
        if url and "/ImplementationGuide/" not in url:
            run.error(
                at, "business-rule", f"a guide is named by its own URL, with /ImplementationGuide/, not {shorten(url)}"
            )
        name = text(one, "packageId")
        if name and not _package(name):
            run.error(at, "business-rule", f"{shorten(name)} is not the name of a package")
