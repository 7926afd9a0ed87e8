"""Ingredients: the ATC code of a medicine by the name of its ingredient.

Records of the United States code medicines in RxNorm, whose names begin with the ingredients; what is told by name
needs no map of all its codes. Names are INN and USAN, codes those of https://atcddd.fhi.no.
"""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

ATC_OF: Final[Mapping[str, str]] = json.loads(
    files(__package__).joinpath("ingredients.json").read_text(encoding="utf-8")
)
_WORD: Final = re.compile(r"[a-z]{3,40}")
_LONGEST: Final = 300


def atc_codes(concept: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ATC codes of the ingredients that the names of a medicine have."""
    names = [concept.get("text"), *(each.get("display") for each in concept.get("coding", ()))]
    for name in names:
        for word in _WORD.findall(str(name or "")[:_LONGEST].lower()):
            code = ATC_OF.get(word)
            if code is not None:
                yield code
