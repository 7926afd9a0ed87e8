"""What a resource is sorted by."""

from math import inf

from fhir_server.search.entries import IndexEntries
from fhir_server.search.ordering import least_and_greatest


def test_each_parameter_has_its_least_and_greatest_value() -> None:
    entries = IndexEntries(
        strings=[("family", "zed", "Zed"), ("family", "abel", "Abel"), ("code:text", "words", "")],
        tokens=[("status", "s", "final")],
        dates=[("date", 5, 9), ("date", 3, 4)],
        quantities=[("value", 1.0, 2.0, "", "kg", (1000.0, 2000.0, "g")), ("value", 7.0, inf, "", "", None)],
        references=[("subject", "Patient", "a", None, None), ("basedOn", None, None, "http://x/y", None)],
    )
    assert least_and_greatest(entries, 500) == {
        "family": ("abel", "zed"),
        "status": ("final", "final"),
        "date": (3, 9),
        "value": (7.0, inf),
        "subject": ("Patient/a", "Patient/a"),
        "basedOn": ("http://x/y", "http://x/y"),
    }


def test_numbers_stand_before_texts_and_long_strings_count_by_their_beginning() -> None:
    entries = IndexEntries(strings=[("kind", "abcdef", "")], numbers=[("kind", 7.0, 8.0)])
    assert least_and_greatest(entries, 3) == {"kind": (7.0, "abc")}
