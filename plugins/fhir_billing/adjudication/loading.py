"""Loading of plan tables: YAML with CSV files beside, amounts as decimals with the digits that are written."""

import csv
from collections.abc import Hashable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fhir_billing.adjudication.plan import Plan

_TABLES = ("benefits", "tariff", "bundles")
_MANY = 100_000


class BadTable(Exception):
    """A table that cannot be used; says the file, the place and what to do."""


class _Loader(yaml.SafeLoader):
    """YAML without floating point, and without members that stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping. Raises ConstructorError: a member stands twice."""
        found: set[str] = set()
        for key, _ in node.value:
            if key.value in found:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands twice", key.start_mark)
            found.add(key.value)
        return super().construct_mapping(node, deep)


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> Decimal:
    try:
        return Decimal(node.value.replace("_", ""))
    except InvalidOperation:
        raise yaml.constructor.ConstructorError(None, None, f"{node.value} is no amount", node.start_mark) from None


_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)


def read_yaml(text: str, name: str) -> Any:
    """Read YAML. Raises BadTable, with line and column."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        raise BadTable(f"{name}: {' '.join(str(error).split())}") from None


def load(path: Path) -> Plan:
    """Load the plan of a YAML file. Raises BadTable."""
    document = read_yaml(path.read_text(encoding="utf-8"), path.name)
    if not isinstance(document, dict):
        raise BadTable(f"{path.name}: a plan is a mapping of names to values")
    beside = {name: _csv(path.parent / str(document[name])) for name in _TABLES if isinstance(document.get(name), str)}
    return made_of({**document, **beside}, path.name)


def made_of(document: Mapping[str, Any], name: str = "plan") -> Plan:
    """Return the plan that a document says. Raises BadTable, one sentence a fault."""
    try:
        return Plan.model_validate(document)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc'])) or 'plan'}: {each['msg']}" for each in error.errors()[:20]]
        raise BadTable(f"{name}: {'; '.join(faults)}") from None


def _csv(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            return [_cells(row, f"{path.name}, line {rows.line_num}") for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadTable(f"{path.name}: {error}") from None


def _cells(row: Mapping[Any, Any], place: str) -> dict[str, str]:
    """Return the cells of a row that hold something."""
    if None in row or None in row.values():
        raise BadTable(f"{place}: as many cells as the first line has names are needed")
    return {name.strip(): value.strip() for name, value in row.items() if value.strip()}
