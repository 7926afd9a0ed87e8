"""The folders of deploy/terraform, read; and whether providers know what stands in them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).parents[3] / "deploy/terraform"
TABLE = Path(__file__).parent / "terraform_table.json"
FOLDERS = sorted({path.parent for path in ROOT.rglob("*.tf")})

Block = Mapping[str, Any]
_META = {"count", "for_each", "provider", "depends_on", "lifecycle"}
_MARKS = {"__is_block__", "__comments__", "__inline_comments__"}


@dataclass(frozen=True)
class Stated:
    """A resource or data source: `type.name`, its body, and whether it is data."""

    type: str
    name: str
    body: Block
    data: bool

    @property
    def address(self) -> str:
        """Return how expressions name it."""
        return f"{'data.' if self.data else ''}{self.type}.{self.name}"


def bare(text: str) -> str:
    """Return a label or literal without its quotes."""
    return text.strip('"')


@cache
def read(folder: Path) -> dict[str, list[Block]]:
    """Return the blocks of a folder by their kind."""
    found: dict[str, list[Block]] = {}
    for path in sorted(folder.glob("*.tf")):
        for kind, blocks in hcl2.loads(path.read_text()).items():
            if kind not in _MARKS:
                found.setdefault(kind, []).extend(blocks)
    return found


def named(folder: Path, kind: str) -> dict[str, Block]:
    """Return blocks with one label: variables, outputs, modules."""
    return {bare(name): body for block in read(folder).get(kind, ()) for name, body in block.items()}


def stated(folder: Path) -> list[Stated]:
    """Return resources and data sources."""
    found = []
    for kind in ("resource", "data"):
        for block in read(folder).get(kind, ()):
            for type_, bodies in block.items():
                found += [Stated(bare(type_), bare(name), body, kind == "data") for name, body in bodies.items()]
    return found


def expressions(value: object) -> Iterator[str]:
    """Yield each text in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if key not in _MARKS:
                yield key
                yield from expressions(each)
    elif isinstance(value, list):
        for each in value:
            yield from expressions(each)


def text_of(folder: Path) -> str:
    """Return all expressions of a folder."""
    return "\n".join(expressions(read(folder)))


def faults(body: Block, known: Mapping[str, Any], where: str) -> Iterator[str]:
    """Yield what a body has that a provider does not know, and what it needs and lacks."""
    given = set()
    for name, value in body.items():
        if name in _MARKS or (name in _META and name not in known["blocks"]):
            continue
        if name == "dynamic":
            for each in value:
                for label, block in each.items():
                    given.add(bare(label))
                    yield from _inside(bare(label), block["content"], known, where)
        else:
            given.add(name)
            yield from _inside(name, value, known, where)
    for name in known["required"]:
        if name not in given:
            yield f"{where} lacks {name}"


def _inside(name: str, value: object, known: Mapping[str, Any], where: str) -> Iterator[str]:
    blocks = value if isinstance(value, list) else [value]
    nested = [each for each in blocks if isinstance(each, Mapping) and "__is_block__" in each]
    if name in known["blocks"]:
        for each in nested:
            yield from faults(each, known["blocks"][name], f"{where}.{name}")
    elif nested:
        yield f"{where} has no block {name}"
    elif name not in known["arguments"]:
        yield f"{where} has no {name}"


def read_attributes(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the address and the attribute of each place where a resource is read."""
    pattern = r"\b((?:data\.)?(?:aws|mongodbatlas)_\w+\.\w+)(?:\[[^\]]*\])?(?:\.(\w+))?"
    yield from re.findall(pattern, text_of(folder))
