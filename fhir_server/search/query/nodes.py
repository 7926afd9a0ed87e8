"""The nodes of a search tree.

`param` is the code of a search parameter of the type that the node stands under ("code", "subject"), which is also the
key of the index rows that `search/indexing` makes.
"""

from dataclasses import dataclass, field
from itertools import count
from typing import Union

from fhir_server.search.query.values import (
    DateValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringMode,
    TokenValue,
)


@dataclass(frozen=True, slots=True)
class Token:
    """Any of `values`; a thousand values are still one node."""

    param: str
    values: tuple[TokenValue, ...]


@dataclass(frozen=True, slots=True)
class TokenText:
    """`:text` on a token or reference: its display or text has every word of one of `values` as a word prefix."""

    param: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfType:
    """`identifier:of-type`: (type system, type code, value) triples."""

    param: str
    values: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class String:
    """Any of `values`, already folded unless `exact`."""

    param: str
    mode: StringMode
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Uri:
    """Any of `values`, compared exactly, or as hierarchy below or above."""

    param: str
    mode: StringMode
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Date:
    """Any of `values`."""

    param: str
    values: tuple[DateValue, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """Any of `values`."""

    param: str
    values: tuple[NumberValue, ...]


@dataclass(frozen=True, slots=True)
class Quantity:
    """Any of `values`, each in its own unit."""

    param: str
    values: tuple[QuantityValue, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """Any of `values`; `targets` are the types that the parameter allows here (for an id without a type)."""

    param: str
    values: tuple[ReferenceValue, ...]
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReferenceIdentifier:
    """`:identifier`: the reference has a logical identifier."""

    param: str
    values: tuple[TokenValue, ...]


@dataclass(frozen=True, slots=True)
class Composite:
    """Any of `values`: each a tuple of leaf nodes, one for each component, whose `param` is the component's index
    "0", "1" ..."""

    param: str
    values: tuple[tuple["Leaf", ...], ...]


@dataclass(frozen=True, slots=True)
class Near:
    """Within `meters` of a point in degrees (WGS84)."""

    param: str
    latitude: float
    longitude: float
    meters: float


@dataclass(frozen=True, slots=True)
class Missing:
    """`:missing`: the resource has no value (True) or some value (False) for the parameter."""

    param: str
    missing: bool


@dataclass(frozen=True, slots=True)
class Ids:
    """`_id`: any of these logical ids."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class IdSet:
    """Logical ids of one type, possibly very many; the same set is the same object.

    `number` tells sets of a process apart, `resolved` is room for the engine of the one store that it is asked of.
    """

    ids: frozenset[str]
    number: int = field(init=False, default_factory=count(1).__next__)
    resolved: list[frozenset[int]] = field(init=False, default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class Among:
    """The reference `param` is to a resource of `type` in a set, or, where `param` is empty, the resource itself is
    one. Restrictions use it; no index lists what it finds, so it stands best where few rows are asked, or under Not."""

    param: str
    type: str
    ids: IdSet


@dataclass(frozen=True, slots=True)
class LastUpdated:
    """`_lastUpdated`; bounds in microseconds like every date, the log itself has milliseconds."""

    values: tuple[DateValue, ...]


@dataclass(frozen=True, slots=True)
class FullText:
    """`_text` (narrative) or `_content` (everything): words, "phrases", OR, NOT, prefix*."""

    content: bool
    query: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Forward chain: the reference `param` points to a current resource of `target` (or a contained one) that `node`
    holds for."""

    param: str
    target: str
    node: "Node"


@dataclass(frozen=True, slots=True)
class Has:
    """Reverse chain: a current resource of `type` refers to this one by `param`, and `node` holds for it."""

    type: str
    param: str
    node: "Node"


@dataclass(frozen=True, slots=True)
class And:
    """All of `nodes`; none at all means everything."""

    nodes: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """Any of `nodes`; none at all means nothing."""

    nodes: tuple["Node", ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """All that `node` does not match."""

    node: "Node"


EVERYTHING = And()
NOTHING = Or()

Leaf = Union[
    Token, TokenText, OfType, String, Uri, Date, Number, Quantity, Reference, ReferenceIdentifier, Composite, Near,
    Missing, Ids, Among, LastUpdated, FullText,
]  # fmt: skip
Node = Union[Leaf, Chain, Has, And, Or, Not]
