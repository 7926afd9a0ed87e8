"""Nodes among their siblings: text belongs to no element, although lxml keeps it at the one before it."""

from dataclasses import dataclass
from typing import Any

from fhir_server.errors import InvalidResource


@dataclass(frozen=True, slots=True)
class Gap:
    """A place between two children of an element, where text may stand.

    Attributes:
        parent: the element.
        at: how many children stand before it.
        behind_text: whether what is put there comes after the text that is there, or before it.
    """

    parent: Any
    at: int
    behind_text: bool


def is_text(node: Any) -> bool:
    """Whether the node is an attribute's value or a text node, which lxml gives as a string that knows its parent."""
    return isinstance(node, str)


def is_element(node: Any) -> bool:
    """Whether the node is an element: no text, comment or processing instruction."""
    return not is_text(node) and isinstance(node.tag, str)


def gap(node: Any, position: str | None) -> Gap:
    """Return the place beside a node (`before`, `after`), or in it: first (`prepend`) or last (None).

    Raises:
        InvalidResource: there is no such place.
    """
    if position in (None, "prepend"):
        if not is_element(node):
            raise InvalidResource("an addition selects an element, unless it says 'before' or 'after'")
        return Gap(node, 0, False) if position else Gap(node, len(node), True)
    if is_text(node):
        return _beside_text(node, position)
    parent = node.getparent()
    if parent is None:
        raise InvalidResource("nothing can stand beside the root")
    at = parent.index(node)
    return Gap(parent, at, True) if position == "before" else Gap(parent, at + 1, False)


def _beside_text(text: Any, position: str | None) -> Gap:
    if text.is_attribute:
        raise InvalidResource("nothing can be added beside an attribute")
    owner = text.getparent()
    if not text.is_tail:
        return Gap(owner, 0, position == "after")
    return Gap(owner.getparent(), owner.getparent().index(owner) + 1, position == "after")


def put(place: Gap, text: str, new: list[Any]) -> None:
    """Put text, and nodes with the text behind each, into a place."""
    parent, there = place.parent, _text_at(place)
    before, after = (there, "") if place.behind_text else ("", there)
    _set_text_at(place, before + text + ("" if new else after))
    if new:
        new[-1].tail = (new[-1].tail or "") + after or None
        parent[place.at : place.at] = new


def take(node: Any) -> None:
    """Take a node out; the text behind it stays.

    Raises:
        InvalidResource: it is the root.
    """
    before = gap(node, "before")
    joined = _text_at(before) + (node.tail or "")
    before.parent.remove(node)
    _set_text_at(before, joined)


def drop_space(place: Gap) -> None:
    """Take the white space out of a place. FHIR's XML has none to speak of, so that there may be none already.

    Raises:
        InvalidResource: there is other text.
    """
    if _text_at(place).strip():
        raise InvalidResource("'ws' takes white space away, and there is other text")
    _set_text_at(place, "")


def _text_at(place: Gap) -> str:
    text = place.parent[place.at - 1].tail if place.at else place.parent.text
    return text or ""


def _set_text_at(place: Gap, text: str) -> None:
    if place.at:
        place.parent[place.at - 1].tail = text or None
    else:
        place.parent.text = text or None
