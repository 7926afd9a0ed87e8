"""What the client hears when the store, or its index, does not answer."""

from fhir_server.interactions.store_errors import unavailable
from fhir_server.storage.base import IndexUnavailable, StoreUnavailable


def test_a_search_index_that_does_not_answer_is_not_told_as_a_write_that_may_be_stored() -> None:
    said = str(unavailable(IndexUnavailable("the search index does not answer: nothing was erased")))
    assert "the search index does not answer: nothing was erased; send it again in " in said
    assert "Look for it before you send it again" in str(unavailable(StoreUnavailable("gone")))
