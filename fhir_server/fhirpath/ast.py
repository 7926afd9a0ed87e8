"""The syntax tree of FHIRPath: eight kinds of node, all frozen, so that a tree can be a key of a cache.

`at` is the offset of the node in the expression; it takes no part in comparisons. A `source` of None means "the
input of the expression" (the resource, or `$this` inside `where(...)`). The function forms `is(T)`, `as(T)` and
`ofType(T)` are parsed to `TypeOperation` like the operators.

Spec: https://hl7.org/fhirpath/N1/#formal-specifications
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import Temporal

LiteralValue: TypeAlias = bool | int | Decimal | str | Temporal | Quantity | None


def _offset() -> int:
    return field(default=0, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """`true`, `1`, `1.0`, `'text'`, `@2015-02`, `@T14:30`, `4 days`, `70 'kg'`; None stands for `{}`."""

    value: LiteralValue
    at: int = _offset()


@dataclass(frozen=True, slots=True)
class Variable:
    """`$this`, `$index` or `$total`; `name` has the dollar sign."""

    name: str
    at: int = _offset()


@dataclass(frozen=True, slots=True)
class Constant:
    """`%resource`, ``%`ext-name` ``: `name` is without the per cent sign and the quotes."""

    name: str
    at: int = _offset()


@dataclass(frozen=True, slots=True)
class Member:
    """`source.name`; at the start of a path the name may be that of a type (`Patient.name`)."""

    source: "Expr | None"
    name: str
    at: int = _offset()


@dataclass(frozen=True, slots=True)
class Call:
    """`source.name(arguments)`."""

    source: "Expr | None"
    name: str
    arguments: "tuple[Expr, ...]"
    at: int = _offset()


@dataclass(frozen=True, slots=True)
class Index:
    """`source[index]`."""

    source: "Expr"
    index: "Expr"
    at: int = _offset()


@dataclass(frozen=True, slots=True)
class Unary:
    """`-operand` or `+operand`; `operator` is the sign."""

    operator: str
    operand: "Expr"
    at: int = _offset()


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`; the operator is spelt as in the expression (`and`, `!~`, `|`, `div`)."""

    operator: str
    left: "Expr"
    right: "Expr"
    at: int = _offset()


@dataclass(frozen=True, slots=True)
class TypeName:
    """`Patient`, `FHIR.Patient`, `System.String`; namespace None when not written."""

    namespace: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}.{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class TypeOperation:
    """`operand is type`, `operand as type`, `operand.ofType(type)`; operand None as `source` elsewhere.

    `operator` is `is`, `as` or `ofType`.
    """

    operator: str
    operand: "Expr | None"
    type: TypeName
    at: int = _offset()


Expr: TypeAlias = Literal | Variable | Constant | Member | Call | Index | Unary | Binary | TypeOperation


def children(node: Expr) -> tuple[Expr, ...]:
    """The expressions directly below a node, in the order of the text."""
    match node:
        case Member(source=source) | TypeOperation(operand=source):
            return (source,) if source is not None else ()
        case Call(source=source, arguments=arguments):
            return (source, *arguments) if source is not None else arguments
        case Index(source=source, index=index):
            return (source, index)
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
    return ()
