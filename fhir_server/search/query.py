"""The neutral search tree: what a FHIR search means, before any engine turns it into its own query.

Times are microseconds since 1970 UTC. `param` is the code of a search parameter of the type that the node stands
under ("code", "subject"), which is also the key of the index rows that `search/indexing` makes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Union

from fhir_server.model.keys import ResourceKey


class Prefix(StrEnum):
    """Comparison prefixes. Spec: https://hl7.org/fhir/R4/search.html#prefix"""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


class StringMode(StrEnum):
    """How a string or URI is compared; `starts`, `contains`, `ends` and `equals` on folded text, `exact` on the
    original. `ends` and `equals` come from `_filter` and are for strings alone."""

    STARTS = "starts"
    CONTAINS = "contains"
    ENDS = "ends"
    EQUALS = "equals"
    EXACT = "exact"
    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True, slots=True)
class TokenValue:
    """`code` alone: system None; `|code`: system ""; `system|`: code None."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class DateValue:
    """The interval [low, high) that a date parameter's value covers, at its own precision and time zone."""

    prefix: Prefix
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class NumberValue:
    """The value and the range [low, high) that its precision implies."""

    prefix: Prefix
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class QuantityValue:
    """A number with a unit: system None or "" with code "" means any unit; `canonical` is the UCUM base form if
    known."""

    number: NumberValue
    system: str
    code: str
    canonical: tuple[NumberValue, str] | None = None


@dataclass(frozen=True, slots=True)
class ReferenceValue:
    """One of: type and id, id alone (type None), an absolute or canonical URL; `version` where the reference names
    one."""

    type: str | None = None
    id: str | None = None
    url: str | None = None
    version: str | None = None


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


class Total(StrEnum):
    """`_total`. NONE still reports a total that costs nothing."""

    NONE = "none"
    ESTIMATE = "estimate"
    ACCURATE = "accurate"


class Contained(StrEnum):
    """`_contained`: look at resources, at contained ones, or at both."""

    FALSE = "false"
    TRUE = "true"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of `_sort`: a search parameter's code, `_id` or `_lastUpdated`; resources without a value come last."""

    param: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Include:
    """`_include` (forward) or `_revinclude` (reverse): from `source` type by `param` ("*" for all) to `target` type
    (None: any)."""

    source: str
    param: str
    target: str | None = None
    reverse: bool = False
    iterate: bool = False


@dataclass(frozen=True, slots=True)
class Visibility:
    """What the caller may see, as predicates by type; joined to every query by `search/restrict`.

    `default` holds for types without an entry of their own. `by_id` is what may be read by id, and `beside` what
    includes may bring, where that is not the same as what may be searched. `mark` tells callers apart, for page links.
    `judged` is what was found out of versions, by base URL and pid: room for who judges them.
    `unasked` are parameters by type that must not be searched by, for they tell of elements that are masked; `*` among
    them stands for an include of all references.
    """

    default: Node = EVERYTHING
    by_type: Mapping[str, Node] = field(default_factory=dict)
    by_id: "Visibility | None" = None
    beside: "Visibility | None" = None
    mark: str = ""
    unasked: Mapping[str, frozenset[str]] = field(default_factory=dict)
    judged: dict[tuple[str, int], bool] = field(init=False, default_factory=dict, repr=False, compare=False)

    @property
    def unrestricted(self) -> bool:
        """Tell whether every resource is visible."""
        return self.default == EVERYTHING and not self.by_type

    def of(self, type_: str) -> Node:
        """Return the predicate for one type."""
        return self.by_type.get(type_, self.default)

    @property
    def read(self) -> "Visibility":
        """What may be read by id."""
        return self.by_id or self


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: the snapshot, the sort values of its last row and its pid. Order of rows: sort keys, then
    pid, descending where `Search.newest_first` says so."""

    txid: int
    values: tuple[str | float | int | None, ...]
    pid: int


@dataclass(frozen=True, slots=True)
class Search:
    """One search as an engine gets it: restricted already, so an engine knows nothing of callers.

    `branches` gives the tree for each resource type that is searched (one entry for `/Patient`, many for a system or
    compartment search). `visible` restricts what includes may bring.
    """

    branches: Mapping[str, Node]
    sort: tuple[SortKey, ...] = ()
    count: int = 50
    total: Total = Total.NONE
    includes: tuple[Include, ...] = ()
    contained: Contained = Contained.FALSE
    after: Cursor | None = None
    visible: Visibility = field(default_factory=Visibility)

    @property
    def newest_first(self) -> bool:
        """Tell whether equal rows stand in descending order of pid: without a sort, or if its first key descends.

        The newest is what a clinician looks for where no order was asked for, and indexes are walked one way only.
        """
        return not self.sort or self.sort[0].descending


def by_key(key: ResourceKey) -> Search:
    """Return the search for exactly one resource."""
    return Search({key.type: Ids((key.id,))}, count=1)
