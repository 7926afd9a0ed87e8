"""The played replica set refuses what MongoDB's manual says is refused, and emulators let pass."""

from typing import Any

import pytest

from tests.servers import manual


def nested(levels: int, name: str) -> dict[str, Any]:
    """Return a document, or a filter, of so many levels."""
    made: dict[str, Any] = {"a": 1}
    for _ in range(levels):
        made = {name: [made]}
    return made


@pytest.mark.parametrize(
    "match",
    [{"$and": []}, {"a": {"$nope": 1}}, {"$regex": "x"}, {"a": {"$regex": "x" * 33_000}}, {"a": {"$in": "x"}},
     {"a": {"$elemMatch": {"$or": []}}}, nested(101, "$or")],
)  # fmt: skip
def test_a_filter_that_is_none_is_refused(match: dict[str, Any]) -> None:
    with pytest.raises(manual.Wrong):
        manual.check_filter(match)


@pytest.mark.parametrize(
    "update",
    [{"$set": {"a": 1}, "$unset": {"a": ""}}, {"$set": {"counts": {}}, "$inc": {"counts.Patient": 1}}, {"$sett": {}}],
)
def test_an_update_that_contradicts_itself_is_refused(update: dict[str, Any]) -> None:
    with pytest.raises(manual.Wrong):
        manual.check_update(update)


def test_deep_documents_mixed_projections_and_indexes_that_cannot_be_are_refused() -> None:
    with pytest.raises(manual.Wrong):
        manual.check_document(nested(50, "a"))
    with pytest.raises(manual.Wrong):
        manual.check_projection({"a": 1, "b": 0})
    one = {"key": {"a": 1}, "name": "a"}
    for indexes in ([one, one], [one | {"partialFilterExpression": {"a": {"$exists": False}}}]):
        with pytest.raises(manual.Wrong):
            manual.check_indexes(indexes)


def test_what_the_engine_asks_for_is_let_pass() -> None:
    manual.check_filter({"$and": [{"d": {"$elemMatch": {"p": "date", "l": {"$lte": 1}}}}, {"x": {"$not": {"$lt": 1}}}]})
    manual.check_filter({"f.name": {"$elemMatch": {"$in": ["a"]}}, "s": {"$regex": "^a"}})
    manual.check_update({"$set": {"txid": 1, "last": "x"}, "$inc": {"counts.Patient": 1}, "$addToSet": {"wide": 1}})
    manual.check_projection({"_id": 0, "i": 1})
    manual.check_document(nested(40, "a"))
