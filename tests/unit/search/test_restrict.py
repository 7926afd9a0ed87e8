"""What the caller may see is joined to every part of a search that looks at resources."""

import pytest

from fhir_server.search.query import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Has,
    Ids,
    Include,
    Node,
    Not,
    Or,
    Search,
    SortKey,
    Token,
    TokenValue,
    Visibility,
)
from fhir_server.search.restrict import restrict, restrict_node

PAT, OBS, ORG = Ids(("visible-patient",)), Ids(("visible-observation",)), Ids(("visible-organization",))
VISIBLE = Visibility(by_type={"Patient": PAT, "Observation": OBS, "Organization": ORG})
LEAF = Token("status", (TokenValue(None, "final"),))


@pytest.mark.parametrize(
    ("type_", "node", "expected"),
    [
        ("Patient", EVERYTHING, And((PAT, EVERYTHING))),
        ("Patient", LEAF, And((PAT, LEAF))),
        ("Device", LEAF, LEAF),
        ("Observation", Chain("subject", "Patient", LEAF), And((OBS, Chain("subject", "Patient", And((PAT, LEAF)))))),
        ("Patient", Has("Observation", "subject", LEAF), And((PAT, Has("Observation", "subject", And((OBS, LEAF)))))),
        (
            "Observation",
            Chain("subject", "Patient", Chain("organization", "Organization", LEAF)),
            And(
                (OBS, Chain("subject", "Patient", And((PAT, Chain("organization", "Organization", And((ORG, LEAF)))))))
            ),
        ),
        (
            "Patient",
            Has("Observation", "subject", Has("Observation", "has-member", LEAF)),
            And((PAT, Has("Observation", "subject", And((OBS, Has("Observation", "has-member", And((OBS, LEAF)))))))),
        ),
        (
            "Organization",
            Has("Patient", "organization", Chain("link", "Patient", LEAF)),
            And((ORG, Has("Patient", "organization", And((PAT, Chain("link", "Patient", And((PAT, LEAF)))))))),
        ),
        (
            "Patient",
            Not(Has("Observation", "subject", LEAF)),
            And((PAT, Not(Has("Observation", "subject", And((OBS, LEAF)))))),
        ),
        (
            "Observation",
            Or((And((Chain("subject", "Patient", LEAF), LEAF)), Not(Or((Chain("subject", "Patient", LEAF),))))),
            And(
                (
                    OBS,
                    Or(
                        (
                            And((Chain("subject", "Patient", And((PAT, LEAF))), LEAF)),
                            Not(Or((Chain("subject", "Patient", And((PAT, LEAF))),))),
                        )
                    ),
                )
            ),
        ),
    ],
)
def test_the_predicate_stands_wherever_a_resource_is_looked_at(type_: str, node: Node, expected: Node) -> None:
    assert restrict_node(type_, node, VISIBLE) == expected
    assert restrict(Search({type_: node}), VISIBLE).branches == {type_: expected}


def test_each_branch_has_the_predicate_of_its_type() -> None:
    found = restrict(Search({"Patient": LEAF, "Observation": LEAF}), VISIBLE)
    assert found.branches == {"Patient": And((PAT, LEAF)), "Observation": And((OBS, LEAF))}


def test_the_default_holds_for_types_without_a_predicate_of_their_own() -> None:
    found = restrict(Search({"Device": LEAF, "Patient": LEAF}), Visibility(NOTHING, {"Patient": EVERYTHING}))
    assert found.branches == {"Device": And((NOTHING, LEAF)), "Patient": LEAF}


def test_a_type_that_is_wholly_visible_is_left_alone_but_its_chains_are_not() -> None:
    visible = Visibility(by_type={"Patient": PAT})
    assert restrict_node("Observation", Chain("subject", "Patient", LEAF), visible) == Chain(
        "subject", "Patient", And((PAT, LEAF))
    )


def test_includes_are_told_to_the_engine() -> None:
    search = Search({"Patient": LEAF}, includes=(Include("Patient", "organization"),), sort=(SortKey("name"),))
    found = restrict(search, VISIBLE)
    assert found.visible is VISIBLE
    assert (found.includes, found.sort) == (search.includes, search.sort)


def test_predicates_may_look_at_what_the_caller_may_not_see() -> None:
    predicate = Chain("subject", "Patient", LEAF)
    visible = Visibility(by_type={"Observation": predicate, "Patient": NOTHING})
    assert restrict_node("Observation", LEAF, visible) == And((predicate, LEAF))


def test_without_restrictions_the_tree_stays_as_it_is() -> None:
    search = Search({"Observation": Chain("subject", "Patient", LEAF)})
    assert restrict(search, Visibility()) == search
