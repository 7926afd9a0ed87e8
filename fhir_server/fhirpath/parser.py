"""Parse an expression into its syntax tree, by precedence climbing.

Spec: https://hl7.org/fhirpath/N1/#formal-specifications and #operator-precedence
"""

from decimal import Decimal
from functools import lru_cache

from fhir_server.fhirpath import ast
from fhir_server.fhirpath.errors import FhirPathError, Position
from fhir_server.fhirpath.lexer import Token, tokenize
from fhir_server.fhirpath.limits import DEFAULT_LIMITS, Limits
from fhir_server.fhirpath.long import Long
from fhir_server.fhirpath.quantity import CALENDAR_UNITS, Quantity, with_unit
from fhir_server.fhirpath.temporal import parse_date, parse_datetime, parse_time

# `is` and `as` bind more than `|` and `<`, as the text of the specification has it and the grammar since 3.0; no
# expression in R4 reads differently by the older grammar (docs/adr/0002-fhirpath.md).
_LEVELS = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "~", "!=", "!~"),
    ("<", ">", "<=", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)
_PRECEDENCE = {operator: level for level, operators in enumerate(_LEVELS, start=1) for operator in operators}
_RESERVED = frozenset({"and", "or", "xor", "implies", "div", "mod", "true", "false"})
_MAX_DIGITS = 64
_TYPE_FUNCTIONS = frozenset({"is", "as", "ofType"})
# Functions whose argument is the name of a type, which then is a string to them.
_TYPE_ARGUMENTS = frozenset({"getReferenceKey"})
_TEMPORAL = {"date": parse_date, "datetime": parse_datetime, "time": parse_time}


@lru_cache(maxsize=4096)
def parse(expression: str, limits: Limits = DEFAULT_LIMITS) -> ast.Expr:
    """Parse an expression.

    Raises:
        FhirPathError: with the position of the first fault.
    """
    if len(expression) > limits.expression_length:
        start = Position(0, 1, 1)
        raise FhirPathError(f"the expression is longer than {limits.expression_length} characters", start)
    return _Parser(expression, limits).parse()


class _Parser:
    """Holds the tokens, the place in them, and how deep the tree has become."""

    def __init__(self, expression: str, limits: Limits) -> None:
        self._expression = expression
        self._tokens = tokenize(expression)
        self._next = 0
        self._depth = 0
        self._max_depth = limits.depth

    def parse(self) -> ast.Expr:
        tree = self._expr(0)
        if self._peek().kind != "end":
            raise self._unexpected()
        return tree

    # --- tokens

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _at_symbol(self, symbol: str) -> bool:
        token = self._peek()
        return token.kind == "symbol" and token.text == symbol

    def _skip(self, symbol: str) -> bool:
        found = self._at_symbol(symbol)
        self._next += found
        return found

    def _expect(self, symbol: str) -> None:
        if not self._skip(symbol):
            raise self._unexpected(f"expected {symbol!r}")

    def _error(self, message: str, at: int) -> FhirPathError:
        return FhirPathError(message, Position.of(self._expression, at))

    def _unexpected(self, wanted: str = "unexpected") -> FhirPathError:
        token = self._peek()
        if token.kind == "end":
            return self._error(f"{wanted}: the expression ends here", token.at)
        separator = ": " if wanted == "unexpected" else ", found "
        return self._error(f"{wanted}{separator}{token.text!r}", token.at)

    # --- operators

    def _expr(self, minimum: int) -> ast.Expr:
        depth = self._depth
        self._deeper()
        left = self._unary()
        while (level := self._operator_level()) > minimum:
            self._deeper()
            left = self._operation(left, level)
        self._depth = depth
        return left

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > self._max_depth:
            raise self._error(f"the expression is nested deeper than {self._max_depth}", self._peek().at)

    def _operator_level(self) -> int:
        token = self._peek()
        return _PRECEDENCE.get(token.text, 0) if token.kind in ("symbol", "word") else 0

    def _operation(self, left: ast.Expr, level: int) -> ast.Expr:
        token = self._take()
        if token.text in ("is", "as"):
            return ast.TypeOperation(token.text, left, self._type_name(), token.at)
        return ast.Binary(token.text, left, self._expr(level), token.at)

    def _unary(self) -> ast.Expr:
        token = self._peek()
        if token.kind == "symbol" and token.text in ("+", "-"):
            self._take()
            self._deeper()
            return ast.Unary(token.text, self._unary(), token.at)
        return self._path()

    # --- paths

    def _path(self) -> ast.Expr:
        node = self._term()
        while True:
            if self._skip("."):
                node = self._invocation(node)
            elif self._at_symbol("["):
                node = self._indexer(node)
            else:
                return node
            self._deeper()

    def _indexer(self, source: ast.Expr) -> ast.Expr:
        at = self._take().at
        index = self._expr(0)
        self._expect("]")
        return ast.Index(source, index, at)

    def _term(self) -> ast.Expr:
        token = self._peek()
        if token.kind in ("word", "delimited", "variable") and not self._is_boolean(token):
            return self._invocation(None)
        if token.kind == "constant":
            self._take()
            return ast.Constant(token.text, token.at)
        if self._skip("("):
            inner = self._expr(0)
            self._expect(")")
            return inner
        if self._skip("{"):
            self._expect("}")
            return ast.Literal(None, token.at)
        return self._literal()

    def _invocation(self, source: ast.Expr | None) -> ast.Expr:
        token = self._take()
        if token.kind == "variable" and source is None:
            return ast.Variable(token.text, token.at)
        # After a dot only a name can stand, so `Patient.text.div` is read although the grammar reserves `div`.
        reserved = token.kind == "word" and token.text in _RESERVED and source is None
        if token.kind not in ("word", "delimited") or reserved:
            self._next -= 1
            raise self._unexpected("expected a name")
        if self._at_symbol("("):
            return self._call(source, token)
        return ast.Member(source, token.text, token.at)

    def _call(self, source: ast.Expr | None, name: Token) -> ast.Expr:
        self._expect("(")
        arguments: list[ast.Expr] = []
        while not self._at_symbol(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._argument(name.text))
        self._expect(")")
        if name.text in _TYPE_FUNCTIONS:
            return self._type_call(source, name, arguments)
        if name.text in _TYPE_ARGUMENTS:
            arguments = [_named(argument) for argument in arguments]
        return ast.Call(source, name.text, tuple(arguments), name.at)

    def _argument(self, function: str) -> ast.Expr:
        """An argument; a key of `sort()` may say `asc` or `desc`, which is what a minus before it says."""
        found = self._expr(0)
        token = self._peek()
        if function != "sort" or token.kind != "word" or token.text not in ("asc", "desc"):
            return found
        self._take()
        return ast.Unary("-", found, token.at) if token.text == "desc" else found

    # --- types

    def _type_name(self) -> ast.TypeName:
        names = [self._name()]
        while self._skip("."):
            names.append(self._name())
        if len(names) > 2:
            raise self._error("a type name has at most one dot", self._peek().at)
        return ast.TypeName(names[0] if len(names) == 2 else None, names[-1])

    def _name(self) -> str:
        token = self._peek()
        if token.kind not in ("word", "delimited"):
            raise self._unexpected("expected the name of a type")
        return self._take().text

    def _type_call(self, source: ast.Expr | None, name: Token, arguments: list[ast.Expr]) -> ast.Expr:
        match arguments:
            case [ast.Member(source=None, name=type_name)]:
                found = ast.TypeName(None, type_name)
            case [ast.Member(source=ast.Member(source=None, name=namespace), name=type_name)]:
                found = ast.TypeName(namespace, type_name)
            case _:
                raise self._error(f"{name.text}() takes the name of a type", name.at)
        return ast.TypeOperation(name.text, source, found, name.at)

    # --- literals

    def _is_boolean(self, token: Token) -> bool:
        return token.kind == "word" and token.text in ("true", "false")

    def _literal(self) -> ast.Expr:
        token = self._take()
        if self._is_boolean(token):
            return ast.Literal(token.text == "true", token.at)
        if token.kind == "string":
            return ast.Literal(token.text, token.at)
        if token.kind in ("number", "long"):
            return ast.Literal(self._number(token), token.at)
        if token.kind in _TEMPORAL:
            value = _TEMPORAL[token.kind](token.text)
            if value is None:
                raise self._error(f"there is no such date or time: @{token.text}", token.at)
            return ast.Literal(value, token.at)
        self._next -= 1
        raise self._unexpected()

    def _number(self, token: Token) -> int | Decimal | Quantity:
        if len(token.text) > _MAX_DIGITS:
            raise self._error(f"a number has more than {_MAX_DIGITS} digits", token.at)
        if token.kind == "long":
            return Long(token.text)
        follower = self._peek()
        if follower.kind == "string":
            return with_unit(Decimal(token.text), self._take().text)
        if follower.kind == "word" and follower.text in CALENDAR_UNITS:
            return Quantity(Decimal(token.text), CALENDAR_UNITS[self._take().text], calendar=True)
        return Decimal(token.text) if "." in token.text else int(token.text)


def _named(argument: ast.Expr) -> ast.Expr:
    """`Patient` or `FHIR.Patient` as the string 'Patient'; anything else as it is."""
    match argument:
        case ast.Member(source=None | ast.Member(source=None, name="FHIR"), name=name):
            return ast.Literal(name, argument.at)
    return argument
