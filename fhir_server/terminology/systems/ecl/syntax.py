"""The tree of an expression constraint."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One concept by its identifier."""

    code: str


@dataclass(frozen=True, slots=True)
class Anything:
    """`*`."""


@dataclass(frozen=True, slots=True)
class Related:
    """`<`, `<<`, `<!`, `<<!`, `>`, `>>`, `>!`, `>>!`, `!!>`, `!!<` or `^` before another."""

    operator: str
    inner: "Expression"


@dataclass(frozen=True, slots=True)
class Compound:
    """`AND`, `OR` or `MINUS` between others."""

    operator: str
    parts: "Sequence[Expression]"


@dataclass(frozen=True, slots=True)
class Dotted:
    """The values of an attribute."""

    inner: "Expression"
    attribute: "Expression"


@dataclass(frozen=True, slots=True)
class Refined:
    """Those that a refinement holds for."""

    focus: "Expression"
    refinement: "Refinement"


@dataclass(frozen=True, slots=True)
class Test:
    """One test of a filter `{{ }}`; `about` is C for concepts, D for descriptions."""

    about: str
    name: str
    operator: str
    values: "Sequence[str]"
    style: str = "match"


@dataclass(frozen=True, slots=True)
class Filtered:
    """Those that all tests hold for."""

    inner: "Expression"
    tests: Sequence[Test]


Expression = Code | Anything | Related | Compound | Dotted | Refined | Filtered


@dataclass(frozen=True, slots=True)
class Cardinality:
    """`[least..most]`; `most` None is `*`."""

    least: int = 1
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, or a text (`true` and `false` too)."""

    text: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute with what it is compared to: an expression, or literals."""

    cardinality: Cardinality
    reverse: bool
    name: Expression
    operator: str
    value: "Expression | Sequence[Literal]"


@dataclass(frozen=True, slots=True)
class Group:
    """Attributes of one role group."""

    cardinality: Cardinality
    inner: "Refinement"


@dataclass(frozen=True, slots=True)
class Junction:
    """`AND` or `OR` between refinements."""

    operator: str
    parts: "Sequence[Refinement]"


Refinement = Attribute | Group | Junction
