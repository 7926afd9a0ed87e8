"""The syntax tree: precedence, literals, the kinds of node, and positions of faults."""

from decimal import Decimal

import pytest

from fhir_server.fhirpath import FhirPathError, Limits, ast, parse
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.temporal import Temporal


def path(*names: str) -> ast.Expr:
    tree: ast.Expr = ast.Member(None, names[0])
    for name in names[1:]:
        tree = ast.Member(tree, name)
    return tree


def test_path_is_a_chain_of_members_with_the_last_name_outermost() -> None:
    assert parse("Patient.name.given") == path("Patient", "name", "given")


@pytest.mark.parametrize(
    ("expression", "grouped"),
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("1 + 2 - 3", "(1 + 2) - 3"),
        ("a | b = c", "(a | b) = c"),
        ("a = b in c", "(a = b) in c"),
        ("a and b or c", "(a and b) or c"),
        ("a or b implies c", "(a or b) implies c"),
        ("1 | 1 is Integer", "1 | (1 is Integer)"),
        ("1 > 2 is Boolean", "1 > (2 is Boolean)"),
        ("a = b is Integer", "a = (b is Integer)"),
        ("a + b is Integer", "(a + b) is Integer"),
        ("a < b = c", "(a < b) = c"),
        ("-a.b + c", "(-(a.b)) + c"),
        ("a xor b and c", "a xor (b and c)"),
        ("a & b | c", "(a & b) | c"),
    ],
)
def test_operators_bind_as_the_table_of_precedence_says(expression: str, grouped: str) -> None:
    assert parse(expression) == parse(grouped)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("true", True),
        ("12", 12),
        ("1.50", Decimal("1.50")),
        (r"'it\'s \u00e9'", "it's é"),
        ("@2015-02", Temporal("Date", (2015, 2))),
        ("@2015T", Temporal("DateTime", (2015,))),
        ("@2015-02-04T14:34+10:00", Temporal("DateTime", (2015, 2, 4, 14, 34), None, "+10:00")),
        ("@T14:34:28.123", Temporal("Time", (14, 34, 28), "123")),
        ("4 days", Quantity(Decimal(4), "day", calendar=True)),
        ("70 'kg'", Quantity(Decimal(70), "kg")),
        ("{}", None),
    ],
)
def test_literals_become_values(expression: str, value: object) -> None:
    tree = parse(expression)
    assert isinstance(tree, ast.Literal)
    assert (tree.value, type(tree.value)) == (value, type(value))


@pytest.mark.parametrize("expression", ["a is FHIR.Patient", "a.is(FHIR.Patient)"])
def test_type_functions_are_the_type_operators(expression: str) -> None:
    assert parse(expression) == ast.TypeOperation("is", path("a"), ast.TypeName("FHIR", "Patient"))


def test_words_of_operators_can_be_names_of_elements() -> None:
    assert parse("expansion.contains.is") == path("expansion", "contains", "is")
    assert parse("contains.`div`") == path("contains", "div")


def test_variables_and_constants() -> None:
    assert parse("$index") == ast.Variable("$index")
    assert parse("%`ext-birthTime`") == ast.Constant("ext-birthTime") == parse('%"ext-birthTime"')


def test_comments_are_skipped() -> None:
    assert parse("a // rest\n /* more */ .b") == path("a", "b")


def test_tree_says_where_each_node_stands() -> None:
    tree = parse("name.where(use = 'x')")
    assert isinstance(tree, ast.Call)
    assert (tree.at, tree.arguments[0].at) == (5, 15)


@pytest.mark.parametrize(
    ("expression", "line", "column", "message"),
    [
        ("2 + 2 /", 1, 8, "the expression ends here"),
        ("2 /* open", 1, 3, "a comment that is not closed"),
        ("a\n  .b(]", 2, 6, "']'"),
        ("'open", 1, 1, "a string that is not closed"),
        ('a = "x"', 1, 5, "double quotes"),
        ("a..b", 1, 3, "expected a name"),
        ("@2015-02-30", 1, 1, "no such date"),
        ("@T25:00", 1, 1, "no such date or time"),
        ("@T14:34:28Z", 1, 11, "'Z'"),
        ("a.ofType(1)", 1, 3, "takes the name of a type"),
        ("$that", 1, 1, "this, index or total"),
        ("a is", 1, 5, "expected the name of a type"),
        ("a is b.c.d", 1, 11, "at most one dot"),
        ("(a", 1, 3, "expected ')'"),
        ("", 1, 1, "the expression ends here"),
        ("1" * 65, 1, 1, "more than 64 digits"),
    ],
)
def test_fault_is_reported_with_its_position(expression: str, line: int, column: int, message: str) -> None:
    with pytest.raises(FhirPathError) as caught:
        parse(expression)
    position = caught.value.position
    assert position is not None
    assert (position.line, position.column) == (line, column)
    assert message in str(caught.value)


@pytest.mark.parametrize("expression", ["(" * 5000 + "1" + ")" * 5000, "-" * 5000 + "1", "a" + ".b" * 5000])
def test_depth_is_bounded(expression: str) -> None:
    with pytest.raises(FhirPathError, match="nested deeper than 150"):
        parse(expression)


def test_length_is_bounded() -> None:
    with pytest.raises(FhirPathError, match="longer than 5 characters"):
        parse("1 + 1 ", Limits(expression_length=5))


def test_error_of_an_expression_is_a_value_error() -> None:
    assert issubclass(FhirPathError, ValueError)
