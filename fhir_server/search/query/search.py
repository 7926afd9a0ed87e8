"""Search: a tree for each type that is searched, with order, page, includes, and what the caller may see."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fhir_server.model.keys import ResourceKey
from fhir_server.search.query.nodes import EVERYTHING, Ids, Node


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
