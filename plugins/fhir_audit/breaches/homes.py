"""Who somebody is and where they live, as far as it can be compared with what stands in another resource."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_MARKS = re.compile(r"[^\w]+")
_ESCAPED = str.maketrans({"\\": "\\\\", ",": "\\,", "$": "\\$", "|": "\\|"})
Criteria = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Home:
    """One person as a resource describes them.

    families, given: names, as they are compared. streets: (street, place) of each address; places: postal codes and
    cities alone. by_street, by_name: searches for Patients who may live there.
    """

    families: frozenset[str]
    given: frozenset[str]
    birth: str
    streets: frozenset[tuple[str, str]]
    places: frozenset[str]
    by_street: frozenset[Criteria] = frozenset()
    by_name: frozenset[Criteria] = frozenset()

    def is_same_person(self, other: "Home") -> bool:
        """Tell whether both are the same person: day of birth, surname and one given name are the same."""
        same_day = bool(self.birth) and self.birth == other.birth
        return same_day and bool(self.families & other.families) and bool(self.given & other.given)

    def shares_address(self, other: "Home") -> bool:
        """Tell whether both live at the same address."""
        return bool(self.streets & other.streets)

    def shares_name_and_place(self, other: "Home") -> bool:
        """Tell whether both have the same surname and live in the same place."""
        return bool(self.families & other.families) and bool(self.places & other.places)


def home_of(resource: Mapping[str, Any]) -> Home:
    """Read a Patient, Practitioner, RelatedPerson or Person."""
    names = [name for name in resource.get("name", ()) if isinstance(name, dict)]
    addresses = [address for address in resource.get("address", ()) if isinstance(address, dict)]
    return Home(
        families=_words(name.get("family") for name in names),
        given=_words(each for name in names for each in name.get("given", ())),
        birth=str(resource.get("birthDate", "")),
        streets=frozenset(pair for address in addresses for pair in _streets(address)),
        places=_words(place for address in addresses for _, place in _places(address)),
        by_street=frozenset(
            (("address", _value(line)), place)
            for address in addresses for line in address.get("line", ())[:1] if line for place in _places(address)
        ),
        by_name=frozenset(
            (("family", _value(name["family"])), place)
            for name in names if name.get("family") for address in addresses for place in _places(address)
        ),
    )  # fmt: skip


def _places(address: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the parameters of a search for all who live in the same place."""
    known = (("address-postalcode", address.get("postalCode")), ("address-city", address.get("city")))
    return [(parameter, _value(value)) for parameter, value in known if value]


def _value(text: object) -> str:
    return str(text).translate(_ESCAPED)


def _streets(address: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield street and place of an address, by postal code and by city: the other side may have one of them alone."""
    street = plain(" ".join(str(line) for line in address.get("line", ()) if line))
    for _, place in _places(address):
        if street:
            yield street, plain(place)


def plain(text: object) -> str:
    """Return a text without case, accents, punctuation and spaces."""
    apart = unicodedata.normalize("NFKD", str(text).casefold())
    return _MARKS.sub("", "".join(letter for letter in apart if not unicodedata.combining(letter)))


def _words(texts: Iterable[object]) -> frozenset[str]:
    return frozenset(word for text in texts if text and (word := plain(text)))
