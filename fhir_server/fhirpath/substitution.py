"""Constants that are known beforehand, put into the tree as literals: what is compiled then needs no look-up.

Spec: https://sql-on-fhir.org/ig/StructureDefinition-ViewDefinition.html#using-constants
"""

from collections.abc import Mapping
from dataclasses import replace

from fhir_server.fhirpath import ast


def substituted(tree: ast.Expr, constants: Mapping[str, ast.LiteralValue]) -> ast.Expr:
    """Return the tree with each `%name` of these as a literal."""
    match tree:
        case ast.Constant(name=name) if name in constants:
            return ast.Literal(constants[name], tree.at)
        case ast.Member(source=source) if source is not None:
            return replace(tree, source=substituted(source, constants))
        case ast.Call():
            arguments = tuple(substituted(argument, constants) for argument in tree.arguments)
            return replace(tree, source=_optional(tree.source, constants), arguments=arguments)
        case ast.Index():
            return replace(tree, source=substituted(tree.source, constants), index=substituted(tree.index, constants))
        case ast.Unary():
            return replace(tree, operand=substituted(tree.operand, constants))
        case ast.Binary():
            return replace(tree, left=substituted(tree.left, constants), right=substituted(tree.right, constants))
        case ast.TypeOperation():
            return replace(tree, operand=_optional(tree.operand, constants))
    return tree


def _optional(tree: ast.Expr | None, constants: Mapping[str, ast.LiteralValue]) -> ast.Expr | None:
    return None if tree is None else substituted(tree, constants)


def variables(tree: ast.Expr) -> frozenset[str]:
    """The names of all `%name` in a tree."""
    own = {tree.name} if isinstance(tree, ast.Constant) else set()
    return frozenset(own).union(*(variables(child) for child in ast.children(tree)))
