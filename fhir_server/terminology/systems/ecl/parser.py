"""Parsing expression constraints.

Spec: https://confluence.ihtsdotools.org/display/DOCECL/5.1+Brief+Syntax
"""

from functools import lru_cache

from fhir_server.errors import BadValue
from fhir_server.terminology.systems.ecl.scanner import Token, scan
from fhir_server.terminology.systems.ecl.syntax import (
    Anything,
    Attribute,
    Cardinality,
    Code,
    Compound,
    Dotted,
    Expression,
    Filtered,
    Group,
    Junction,
    Literal,
    Refined,
    Refinement,
    Related,
    Test,
)

_OPERATORS = frozenset(("<", "<<", "<!", "<<!", ">", ">>", ">!", ">>!", "!!<", "!!>"))
_COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">="))
_LITERALS = ("number", "text")
_DEEPEST = 40
_MOST_STEPS = 50_000
_ONE_OR_MORE = Cardinality()


@lru_cache(512)
def parse(source: str) -> Expression:
    """Parse an expression constraint.

    Raises:
        BadValue: it is not one; the message has the place.
    """
    parser = _Parser(source)
    found = parser.expression()
    parser.expect("the end")
    return found


class _Parser:
    def __init__(self, source: str) -> None:
        self._tokens = scan(source)
        self._at = 0
        self._depth = 0
        self._steps = 0

    # --- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _is(self, *texts: str) -> bool:
        return self._token.kind in ("sign", "word", "end") and self._token.text in texts

    def _take(self) -> Token:
        token = self._token
        self._at += 1
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise BadValue("the expression constraint is too involved")
        return token

    def _skip(self, text: str) -> bool:
        if self._is(text):
            self._take()
            return True
        return False

    def expect(self, text: str) -> None:
        """Take a token or refuse what stands there."""
        if self._is(text):
            self._at += text != "the end"
            return
        raise self._wrong(repr(text) if text != "the end" else text)

    def _wrong(self, wanted: str) -> BadValue:
        token = self._token
        return BadValue(f"expression constraint: {wanted} is expected at character {token.at + 1}, not {token.text!r}")

    # --- expressions

    def expression(self) -> Expression:
        """Parse `sub`, then what may follow it: a refinement, attributes after dots, AND, OR or MINUS."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadValue(f"the expression constraint is nested deeper than {_DEEPEST} levels")
        first = self._sub()
        if self._skip(":"):
            first = Refined(first, self._refinement(within=""))
        while self._skip("."):
            first = Dotted(first, self._sub())
        found = self._compound(first)
        self._depth -= 1
        return found

    def _compound(self, first: Expression) -> Expression:
        parts, operator = [first], ""
        while self._is("AND", "OR", "MINUS", ","):
            at = self._token
            said = "AND" if at.text == "," else at.text
            if operator and (said != operator or said == "MINUS"):
                raise BadValue(f"expression constraint: {said} at character {at.at + 1} needs brackets")
            operator = said
            self._take()
            parts.append(self._sub())
        return Compound(operator, tuple(parts)) if operator else first

    def _sub(self) -> Expression:
        if self._token.kind == "sign" and self._token.text in _OPERATORS:
            operator = self._take().text
            return self._filters(Related(operator, self._member()))
        return self._filters(self._member())

    def _member(self) -> Expression:
        if self._skip("^"):
            return Related("^", self._focus())
        return self._focus()

    def _focus(self) -> Expression:
        if self._skip("("):
            inner = self.expression()
            self.expect(")")
            return inner
        if self._skip("*"):
            return Anything()
        if self._token.kind == "code":
            return Code(self._take().text)
        raise self._wrong("a concept")

    # --- refinements

    def _refinement(self, within: str) -> Refinement:
        parts, operator = [self._item(within)], ""
        while self._is("AND", "OR", ","):
            at, token = self._at, self._token
            said = "OR" if token.text == "OR" else "AND"
            if operator and said != operator:
                raise BadValue(f"expression constraint: {said} at character {token.at + 1} needs brackets")
            self._take()
            operator = said
            try:
                parts.append(self._item(within))
            except BadValue:
                # `(a: b = c) OR d`: what follows is no attribute but another expression.
                if len(parts) > 1 or within:
                    raise
                self._at = at
                return parts[0]
        return Junction(operator, tuple(parts)) if operator else parts[0]

    def _item(self, within: str) -> Refinement:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BadValue(f"the expression constraint is nested deeper than {_DEEPEST} levels")
        try:
            cardinality = self._cardinality()
            if not within and self._skip("{"):
                inner = self._refinement(within="group")
                self.expect("}")
                return Group(cardinality, inner)
            return self._bracketed(cardinality, within)
        finally:
            self._depth -= 1

    def _bracketed(self, cardinality: Cardinality, within: str) -> Refinement:
        """A bracket opens either several attributes or the name of one."""
        if not self._is("("):
            return self._attribute(cardinality)
        at, depth = self._at, self._depth
        try:
            return self._attribute(cardinality)
        except BadValue:
            self._at, self._depth = at, depth
        self._take()
        inner = self._refinement(within)
        self.expect(")")
        return inner

    def _attribute(self, cardinality: Cardinality) -> Attribute:
        reverse = self._skip("R")
        name = self._sub()
        operator = self._token.text
        if self._token.kind != "sign" or operator not in _COMPARISONS:
            raise self._wrong("a comparison")
        self._take()
        literals = self._literals()
        if literals:
            return Attribute(cardinality, reverse, name, operator, literals)
        if operator not in ("=", "!="):
            raise self._wrong("a number")
        return Attribute(cardinality, reverse, name, operator, self._sub())

    def _literals(self) -> tuple[Literal, ...]:
        """Take `#10`, `"text"`, `true`, or several in brackets."""
        if self._is("TRUE", "FALSE"):
            return (Literal(self._take().text.lower()),)
        if self._token.kind in _LITERALS:
            return (self._literal(),)
        if self._is("(") and self._tokens[self._at + 1].kind in _LITERALS:
            self._take()
            found = []
            while self._token.kind in _LITERALS:
                found.append(self._literal())
            self.expect(")")
            return tuple(found)
        return ()

    def _literal(self) -> Literal:
        token = self._take()
        return Literal(token.text, token.kind == "number")

    def _cardinality(self) -> Cardinality:
        if not self._skip("["):
            return _ONE_OR_MORE
        least = self._whole()
        self.expect("..")
        most = None if self._skip("*") else self._whole()
        self.expect("]")
        if most is not None and most < least:
            raise BadValue(f"expression constraint: the cardinality [{least}..{most}] allows nothing")
        return Cardinality(least, most)

    def _whole(self) -> int:
        if self._token.kind != "code" or len(self._token.text) > 6:
            raise self._wrong("a number")
        return int(self._take().text)

    # --- filters

    def _filters(self, inner: Expression) -> Expression:
        while self._skip("{{"):
            about = self._take().text if self._is("C", "D") else "D"
            tests = [self._test(about)]
            while self._skip(","):
                tests.append(self._test(about))
            self.expect("}}")
            inner = Filtered(inner, tuple(tests))
        return inner

    def _test(self, about: str) -> Test:
        if self._token.kind != "word":
            raise self._wrong("the name of a filter")
        name = self._take().text
        if not self._is("=", "!="):
            raise self._wrong("a comparison")
        operator = self._take().text
        styles, values = set(), []
        brackets = self._skip("(")
        while True:
            style, value = self._test_value()
            styles.add(style)
            values.append(value)
            if not brackets or self._is(")"):
                break
        if brackets:
            self.expect(")")
        if len(styles) > 1:
            raise BadValue("expression constraint: match and wild in one filter are not supported")
        return Test(about, name, operator, tuple(values), styles.pop())

    def _test_value(self) -> tuple[str, str]:
        style = "match"
        if self._is("MATCH", "WILD"):
            style = self._take().text.lower()
            self.expect(":")
        if self._token.kind not in ("text", "word", "code"):
            raise self._wrong("a value")
        return style, self._take().text
