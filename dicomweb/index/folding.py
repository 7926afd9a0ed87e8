"""Names and texts as they are compared: without case, accents and marks."""

import unicodedata
from typing import Any


def folded(text: str) -> str:
    """Return a text in the form in which searches compare it."""
    flat = "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))
    return " ".join(flat.split())


def folded_names(value: Any) -> list[str]:
    """Return all groups of a person's name as compared, the alphabetic first."""
    groups = value.values() if isinstance(value, dict) else [str(value)] if value else []
    return list(dict.fromkeys(name for group in groups if (name := folded(str(group)).rstrip("^ "))))


def words_of(value: Any) -> list[str]:
    """Return the words of all groups of a name, for fuzzy matching."""
    groups = value.values() if isinstance(value, dict) else [str(value or "")]
    return [word for group in groups for word in folded(str(group)).replace("^", " ").replace("=", " ").split()]
