"""Turn a syntax tree into closures, once; they are then run on any resource.

Each closure takes the run and the input collection and gives a collection. Names, operators, functions and types
are looked up here, so that a wrong one is found before anything is evaluated.
"""

from fhir_server.fhirpath import ast
from fhir_server.fhirpath import node as nodes
from fhir_server.fhirpath.constants import constant
from fhir_server.fhirpath.context import Run
from fhir_server.fhirpath.errors import FhirPathError
from fhir_server.fhirpath.functions import FUNCTIONS, Function, Step
from fhir_server.fhirpath.functions.fhir import referenced_type, resolve_item
from fhir_server.fhirpath.node import Collection, Item, Node
from fhir_server.fhirpath.operators import OPERATORS, negate
from fhir_server.fhirpath.quantity import Quantity
from fhir_server.fhirpath.types import TypeModel, system_type
from fhir_server.fhirpath.values import integer, truth


def compile_tree(tree: ast.Expr, model: TypeModel) -> Step:
    """Compile a tree.

    Raises:
        FhirPathError: with the offset of an unknown function or type, or of a wrong number of arguments.
    """
    return _Compiler(model, scoped=_defines_variables(tree)).compile(tree)


def _defines_variables(tree: ast.Expr) -> bool:
    if isinstance(tree, ast.Call) and tree.name == "defineVariable":
        return True
    return any(_defines_variables(child) for child in ast.children(tree))


def _at(offset: int, error: FhirPathError) -> FhirPathError:
    if error.offset is None:
        error.offset = offset
    return error


class _Compiler:
    """Compiles nodes; `scoped` when the tree defines variables, which must not leak out of their branch."""

    def __init__(self, model: TypeModel, *, scoped: bool) -> None:
        self._model = model
        self._scoped = scoped

    def compile(self, tree: ast.Expr) -> Step:
        match tree:
            case ast.Member():
                return self._member(tree)
            case ast.Call():
                return self._call(tree)
            case ast.Binary():
                return self._binary(tree)
            case ast.Literal():
                return _literal(tree)
            case ast.Variable():
                return _variable(tree)
            case ast.Constant():
                return _constant(tree)
            case ast.TypeOperation():
                return self._type_operation(tree)
            case ast.Index():
                return self._index(tree)
            case ast.Unary():
                return self._unary(tree)

    def _branch(self, tree: ast.Expr) -> Step:
        """Compile an operand or argument: variables defined in it end with it."""
        step = self.compile(tree)
        if not self._scoped:
            return step

        def scoped(run: Run, this: Collection) -> Collection:
            outer = run.variables
            found = step(run, this)
            run.variables = outer
            return found

        return scoped

    # --- paths

    def _member(self, tree: ast.Member) -> Step:
        name = tree.name
        if tree.source is None:
            return _start(name)
        source = self.compile(tree.source)

        def step(run: Run, this: Collection) -> Collection:
            found: Collection = []
            for item in source(run, this):
                found += _members(run, item, name)
            return found

        return step

    def _index(self, tree: ast.Index) -> Step:
        source, index, at = self.compile(tree.source), self._branch(tree.index), tree.at

        def step(run: Run, this: Collection) -> Collection:
            items = source(run, this)
            try:
                place = integer(index(run, this), "an index")
            except FhirPathError as error:
                raise _at(at, error) from None
            return items[place : place + 1] if place is not None and place >= 0 else []

        return step

    # --- operators

    def _binary(self, tree: ast.Binary) -> Step:
        left, right, at = self._branch(tree.left), self._branch(tree.right), tree.at
        if tree.operator in _SHORT_CUTS:
            return _short_cut(tree, left, right)
        operation = OPERATORS[tree.operator]

        def step(run: Run, this: Collection) -> Collection:
            try:
                return _bounded(run, operation(left(run, this), right(run, this)))
            except FhirPathError as error:
                raise _at(at, error) from None

        return step

    def _unary(self, tree: ast.Unary) -> Step:
        operand, operator, at = self._branch(tree.operand), tree.operator, tree.at

        def step(run: Run, this: Collection) -> Collection:
            try:
                return negate(operand(run, this), operator)
            except FhirPathError as error:
                raise _at(at, error) from None

        return step

    # --- types

    def _type_operation(self, tree: ast.TypeOperation) -> Step:
        try:
            wanted = self._model.resolve(tree.type)
        except FhirPathError as error:
            raise _at(tree.at, error) from None
        if tree.operator == "is" and isinstance(tree.operand, ast.Call) and tree.operand.name == "resolve":
            return self._resolves_to(tree.operand, wanted)
        source = self.compile(tree.operand) if tree.operand is not None else _this
        return _is(source, wanted, tree.at) if tree.operator == "is" else _cast(source, wanted, tree)

    def _resolves_to(self, call: ast.Call, wanted: ast.TypeName) -> Step:
        """`resolve() is Patient`: what cannot be fetched is judged by the type that the reference names.

        Spec: https://hl7.org/fhir/R4/search.html#searchparameters (expressions with resolve() in search parameters)
        """
        source = self.compile(call.source) if call.source is not None else _this

        def step(run: Run, this: Collection) -> Collection:
            found: Collection = []
            for item in source(run, this):
                target = resolve_item(run, item)
                name = target.type if target is not None else referenced_type(run, item)
                if name is not None:
                    found.append(wanted.name in run.model.kinds(name))
            return found

        return step

    # --- functions

    def _call(self, tree: ast.Call) -> Step:
        function = _function(tree)
        source = self.compile(tree.source) if tree.source is not None else _this
        if tree.name == "sort":
            return _lazy(function, source, tuple(self._sort_key(key) for key in tree.arguments), tree.at)
        arguments = tuple(self._branch(argument) for argument in tree.arguments)
        if tree.name == "coalesce":
            # Its arguments are collections, not expressions on items: they mean the same whatever stands before it.
            return _lazy(function, _this, arguments, tree.at)
        if function.lazy:
            return _lazy(function, source, arguments, tree.at)
        return _eager(function, source, arguments, tree.at)

    def _sort_key(self, tree: ast.Expr) -> tuple[Step, bool]:
        """A key of `sort()`; a minus before it means descending, whatever its type."""
        if isinstance(tree, ast.Unary) and tree.operator == "-":
            return self._branch(tree.operand), True
        return self._branch(tree), False


def _bounded(run: Run, items: Collection) -> Collection:
    """Results of operators grow by joining strings and collections; neither may without end."""
    if len(items) == 1 and isinstance(items[0], str):
        run.text(items[0])
    return run.bounded(items)


def _function(tree: ast.Call) -> Function:
    function = FUNCTIONS.get(tree.name)
    if function is None:
        raise _at(tree.at, FhirPathError(f"there is no function {tree.name}()"))
    given = len(tree.arguments)
    if not function.least <= given <= function.most:
        takes = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
        raise _at(tree.at, FhirPathError(f"{tree.name}() takes {takes} arguments, {given} are given"))
    return function


def _lazy(function: Function, source: Step, arguments: tuple[object, ...], at: int) -> Step:
    call = function.call

    def step(run: Run, this: Collection) -> Collection:
        try:
            return call(run, source(run, this), *arguments)
        except FhirPathError as error:
            raise _at(at, error) from None

    return step


def _eager(function: Function, source: Step, arguments: tuple[Step, ...], at: int) -> Step:
    call = function.call

    def step(run: Run, this: Collection) -> Collection:
        focus = source(run, this)
        try:
            return call(run, focus, *[argument(run, this) for argument in arguments])
        except FhirPathError as error:
            raise _at(at, error) from None

    return step


def _this(run: Run, this: Collection) -> Collection:
    return this


def _literal(tree: ast.Literal) -> Step:
    if tree.value is None:
        return lambda run, this: []
    value = tree.value
    return lambda run, this: [value]


def _variable(tree: ast.Variable) -> Step:
    if tree.name == "$this":
        return _this
    if tree.name == "$total":
        return lambda run, this: run.total
    return lambda run, this: [] if run.index is None else [run.index]


def _constant(tree: ast.Constant) -> Step:
    name, at = tree.name, tree.at

    def step(run: Run, this: Collection) -> Collection:
        try:
            return constant(run, name)
        except FhirPathError as error:
            raise _at(at, error) from None

    return step


def _start(name: str) -> Step:
    """A name at the start of a path: the type of the input itself, or one of its children."""

    def child(run: Run, this: Collection) -> Collection:
        found: Collection = []
        for item in this:
            found += _members(run, item, name)
        return found

    if not name[:1].isupper():
        return child

    def type_or_child(run: Run, this: Collection) -> Collection:
        found: Collection = []
        for item in this:
            if isinstance(item, Node) and item.type is not None and name in run.model.kinds(item.type):
                found.append(item)
            else:
                found += _members(run, item, name)
        return found

    return type_or_child


def _members(run: Run, item: Item, name: str) -> Collection:
    if isinstance(item, Node):
        return list(nodes.members(item, name, run.model))
    if isinstance(item, Quantity):
        return [item.value] if name == "value" else [item.unit] if name in ("unit", "code") else []
    return []


# --- boolean operators: the right side is not evaluated when the left one decides

_SHORT_CUTS = {"and": False, "or": True, "implies": False}


def _short_cut(tree: ast.Binary, left: Step, right: Step) -> Step:
    operation, decisive, at = OPERATORS[tree.operator], _SHORT_CUTS[tree.operator], tree.at
    answer = tree.operator != "and"
    what = f"'{tree.operator}'"

    def step(run: Run, this: Collection) -> Collection:
        first = left(run, this)
        try:
            if truth(first, what) is decisive:
                return [answer]
            return operation(first, right(run, this))
        except FhirPathError as error:
            raise _at(at, error) from None

    return step


# --- type operators


def _is(source: Step, wanted: ast.TypeName, at: int) -> Step:
    def step(run: Run, this: Collection) -> Collection:
        items = source(run, this)
        if len(items) > 1:
            raise _at(at, FhirPathError(f"'is' takes one item, there are {len(items)}"))
        return [is_of(items[0], wanted, run.model)] if items else []

    return step


def _cast(source: Step, wanted: ast.TypeName, tree: ast.TypeOperation) -> Step:
    """`as` and `ofType`. The specification lets `as` take one item only, but R4's own search parameters do not."""

    def step(run: Run, this: Collection) -> Collection:
        items = source(run, this)
        if run.strict and tree.operator == "as" and len(items) > 1:
            raise _at(tree.at, FhirPathError(f"'as' takes one item, there are {len(items)}; use ofType()"))
        return [item for item in items if is_exactly(item, wanted, run.model)]

    return step


def is_of(item: Item, wanted: ast.TypeName, model: TypeModel) -> bool:
    """Whether an item is of a type, or of one derived from it."""
    if isinstance(item, Node):
        if wanted.namespace == "System" or item.type is None:
            return False
        return wanted.name in model.kinds(item.type)
    return wanted.namespace != "FHIR" and wanted.name in (system_type(item), "Any")


def is_exactly(item: Item, wanted: ast.TypeName, model: TypeModel) -> bool:
    """`is_of`, except that a `code` is not cast to a `string`: the official suite has it so."""
    if isinstance(item, Node) and model.is_primitive(wanted.name) and item.type != wanted.name:
        return False
    return is_of(item, wanted, model)
