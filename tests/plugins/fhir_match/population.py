"""A made-up population: names as unevenly spread as real ones, households, twins; and second records with errors.

The same seed gives the same people. No name or number is anybody's.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

SYSTEM = "http://hospital.example/mrn"
_STARTS = (
    "Ba Be Bo Bra Da De Do Fa Fe Ga Gro Ha He Ho Ja Ka Ke Kra La Le Ma Me Mo Na Ne Pa Pe Ra Re Ro Sa Schu Se Sta Ta"
)
_MIDDLES = "ber cke del der fel gen hau ke ler lin man mer nau nen ra ri sen ter ti wi"
_ENDS = "ba berg ck d er ert feld hoff ke ler mann n ner r s sen ski ster ton witz"
_GIVEN = (
    "Anna Ben Clara David Emma Felix Greta Hans Ida Jonas Karin Lukas Maria Nils Olga Paul Rosa Simon Tina Uwe Vera "
    "Werner Adam Bella Carl Dora Erik Frieda Georg Hanna Ivan Julia Kurt Laura Max Nina Oskar Petra Ralf Sofia Thomas "
    "Ulla Viktor Wanda Alexander Elisabeth Friedrich Katharina Sebastian Margarete Benjamin Johanna Nathaniel Theresa "
    "Dominik Magdalena"
)
_STREETS = ("Lange", "Kurze", "Alte", "Neue", "Grüne", "Hohe", "Breite", "Schmale", "Untere", "Obere")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Person:
    """One person."""

    number: int
    family: str
    given: str
    born: tuple[int, int, int]
    gender: str
    street: str
    postal: str
    phone: str
    mrn: str = ""
    fields: frozenset[str] = field(default=frozenset(("gender", "address", "phone", "born")))

    def resource(self) -> dict[str, Any]:
        """Return the person as a Patient."""
        year, month, day = self.born
        found: dict[str, Any] = {"resourceType": "Patient", "name": [{"family": self.family, "given": [self.given]}]}
        if self.mrn:
            found["identifier"] = [{"system": SYSTEM, "value": self.mrn}]
        if "phone" in self.fields:
            found["telecom"] = [{"system": "phone", "value": self.phone}]
        if "gender" in self.fields:
            found["gender"] = self.gender
        if "born" in self.fields:
            found["birthDate"] = f"{year:04d}-{month:02d}-{day:02d}"
        if "address" in self.fields:
            found["address"] = [{"line": [self.street], "postalCode": self.postal, "city": f"City {self.postal[:2]}"}]
        return found


class Population:
    """People, and second records of them."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        parts = [(a, b, c) for a in _STARTS.split() for b in _MIDDLES.split() for c in _ENDS.split()]
        self._families = ["".join(each) for each in self._random.sample(parts, 8_000)]
        self._spread = list(accumulate(1 / (rank + 12) for rank in range(len(self._families))))
        self._givens = list(accumulate(1 / (rank + 6) for rank in range(len(_GIVEN.split()))))

    def people(self, count: int) -> Iterator[Person]:
        """Yield people, three in ten of them in the household of the one before; one in a hundred a twin of them."""
        before: Person | None = None
        for number in range(count):
            person = self._person(number)
            chance = self._random.random()
            if before is not None and chance < 0.3:
                person = replace(
                    person, family=before.family, street=before.street, postal=before.postal, phone=before.phone
                )
                if chance < 0.01 and person.given != before.given:
                    person = replace(person, born=before.born)
            yield person
            before = person

    def second_record(self, person: Person) -> Person:
        """Return the same person as somebody else wrote them down, years later."""
        chance = self._random.random
        found = replace(person, mrn=person.mrn if chance() < 0.3 else "")
        for share, error in (
            (0.08, self._misspell_family), (0.03, self._respell_family), (0.02, self._marry),
            (0.06, self._misspell_given), (0.04, self._shorten), (0.01, self._swap_names),
            (0.25, self._move), (0.4, self._new_phone), (0.02, self._swap_born), (0.03, self._mistype_born),
        ):  # fmt: skip
            if chance() < share:
                found = error(found)
        lost = {name for name, share in (("gender", 0.05), ("address", 0.15), ("phone", 0.2), ("born", 0.03))
                if chance() < share}  # fmt: skip
        return replace(found, fields=found.fields - lost)

    def _person(self, number: int) -> Person:
        pick, whole = self._random.choices, self._random.randint
        return Person(
            number, pick(self._families, cum_weights=self._spread)[0],
            pick(_GIVEN.split(), cum_weights=self._givens)[0],
            (whole(1930, 2020), whole(1, 12), whole(1, 28)), self._random.choice(("female", "male")),
            *self._home(), self._number(), f"M{number:07d}",
        )  # fmt: skip

    def _home(self) -> tuple[str, str]:
        number = self._random.randint(1, 90)
        return f"{self._random.choice(_STREETS)} Str. {number}", f"{self._random.randint(10, 19)}{number:03d}"

    def _number(self) -> str:
        return f"0{self._random.randint(100_000_000, 999_999_999)}"

    def _misspelt(self, text: str) -> str:
        at = self._random.randrange(1, len(text))
        letter = self._random.choice(_LETTERS)
        return self._random.choice(
            (text[:at] + text[at + 1 :], text[:at] + letter + text[at:], text[:at] + letter + text[at + 1 :],
             text[: at - 1] + text[at : at + 1] + text[at - 1] + text[at + 1 :])
        )  # fmt: skip

    def _misspell_family(self, person: Person) -> Person:
        return replace(person, family=self._misspelt(person.family))

    def _misspell_given(self, person: Person) -> Person:
        return replace(person, given=self._misspelt(person.given))

    def _respell_family(self, person: Person) -> Person:
        family = person.family
        for one, other in (("ck", "k"), ("f", "ph"), ("nn", "n"), ("tz", "z"), ("w", "v"), ("i", "y"), ("r", "rr")):
            family = family.replace(one, other)
        return replace(person, family=family)

    def _marry(self, person: Person) -> Person:
        return replace(person, family=self._random.choice(self._families))

    def _shorten(self, person: Person) -> Person:
        return replace(person, given=person.given[: self._random.choice((1, 3, 4))])

    def _swap_names(self, person: Person) -> Person:
        return replace(person, family=person.given, given=person.family)

    def _move(self, person: Person) -> Person:
        street, postal = self._home()
        return replace(person, street=street, postal=postal)

    def _new_phone(self, person: Person) -> Person:
        return replace(person, phone=self._number())

    def _swap_born(self, person: Person) -> Person:
        year, month, day = person.born
        return replace(
            person, born=(year, day, month) if day <= 12 else (year, month, int(f"{day:02d}"[::-1]) % 28 + 1)
        )

    def _mistype_born(self, person: Person) -> Person:
        year, month, day = person.born
        return replace(
            person,
            born=self._random.choice(
                ((year + self._random.choice((-10, -1, 1, 10)), month, day), (year, month % 12 + 1, day),
                 (year, month, day % 28 + 1))
            ),
        )  # fmt: skip
