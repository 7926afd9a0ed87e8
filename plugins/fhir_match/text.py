"""How alike two texts are: folding, similarity, edit distance, and a key of how a name sounds."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

_EXPANDED: Final = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"})
_SOUNDS: Final = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"^(?:kn|gn|pn)", "n"), (r"^wr", "r"), (r"^x", "s"), (r"^ps", "s"), (r"mb$", "m"), (r"ph", "f"),
        (r"tsch|tch|sch|ch(?=[ei])|sh|cz|sz", "x"), (r"(?<=[aeiou])gh(?=[^aeiou]|$)", ""), (r"gh", "g"),
        (r"th|dt", "t"), (r"ck|ch|qu|q", "k"), (r"x(?=[^x])", "ks"), (r"c(?=[eiy])", "s"), (r"c", "k"),
        (r"tz|ts|z", "s"), (r"w|v", "f"), (r"[jy]", "i"), (r"d(?=$)", "t"), (r"h", ""),
    )
)  # fmt: skip


@lru_cache(20_000)
def folded(text: str) -> str:
    """Return a text in lower case without accents, hyphens, apostrophes and what else is no letter or digit."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_EXPANDED))
    return "".join(each for each in plain if each.isalnum())


def words(text: str) -> list[str]:
    """Return the words of a text, folded: `Smith-Jones` has two."""
    return [word for part in re.split(r"[\s\-.,;/]+", text) if (word := folded(part))]


@lru_cache(20_000)
def sound(name: str) -> str:
    """Return a key that names which sound alike share; empty where there are no Latin letters to go by.

    Folds the spellings of one sound in European languages onto each other (ph f, ck k, tz s), then keeps the first
    sound and the consonants.
    """
    key = re.sub(r"[^a-z]", "", folded(name))
    for pattern, heard in _SOUNDS:
        key = pattern.sub(heard, key)
    key = re.sub(r"(.)\1+", r"\1", key)
    return key[:1].translate(str.maketrans("eiou", "aaaa")) + re.sub(r"[aeiou]", "", key[1:])


def similarity(one: str, other: str) -> float:
    """Return the Jaro-Winkler similarity, from 0 (nothing alike) to 1 (equal).

    Source: W. E. Winkler, String Comparator Metrics and Enhanced Decision Rules, 1990.
    """
    if one == other:
        return 1.0
    if not one or not other:
        return 0.0
    jaro = _jaro(one, other)
    prefix = 0
    for left, right in zip(one[:4], other[:4], strict=False):
        if left != right:
            break
        prefix += 1
    return jaro + prefix * 0.1 * (1 - jaro)


def _jaro(one: str, other: str) -> float:
    reach = max(0, max(len(one), len(other)) // 2 - 1)
    taken = [False] * len(other)
    left: list[str] = []
    for at, letter in enumerate(one):
        for there in range(max(0, at - reach), min(len(other), at + reach + 1)):
            if not taken[there] and other[there] == letter:
                taken[there] = True
                left.append(letter)
                break
    if not left:
        return 0.0
    right = [letter for letter, is_taken in zip(other, taken, strict=True) if is_taken]
    moved = sum(a != b for a, b in zip(left, right, strict=True)) / 2
    common = len(left)
    return (common / len(one) + common / len(other) + (common - moved) / common) / 3


def distance(one: str, other: str, most: int = 2) -> int:
    """Return how many letters have to be added, removed, replaced or swapped with their neighbour; `most + 1` beyond
    `most`.

    Source: F. J. Damerau, A technique for computer detection and correction of spelling errors, 1964.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        above, row = row, [at]
        for there, another in enumerate(other, 1):
            cost = min(above[there] + 1, row[-1] + 1, above[there - 1] + (letter != another))
            if at > 1 and there > 1 and letter == other[there - 2] and one[at - 2] == another:
                cost = min(cost, before[there - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before = above
    return min(row[-1], most + 1)
