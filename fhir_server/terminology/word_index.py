"""An index of the words of a code system in memory, for texts that are typed letter by letter.

It ranks as `text_search` does concept by concept. All words stand once, in their order: those that begin with what was
typed lie side by side, and those that hold it are found in one long string. Each word has a list of the texts that have
it. Texts are numbered by their length, so that of each rank the shorter ones come first without being looked at.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from threading import Lock
from typing import Final

from fhir_server.terminology.code_system import Concept
from fhir_server.terminology.text_search import folded, texts_of

_LAST: Final = "\U0010ffff"
_INSIDE: Final = 3
"""Letters from which on a text is found inside of words too: of fewer, nearly every word has some."""
_KEPT: Final = 200
_MOST_KEPT: Final = 500_000
"""Places in the answers that are kept, for pages and for what is typed again: four bytes each."""


class WordIndex:
    """The words of all concepts of a system, each concept by its place."""

    def __init__(self, concepts: Iterable[Concept]) -> None:
        texts, owners = _texts(concepts)
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        self._texts = [texts[number] for number in order]
        self._owners = array("I", (owners[number] for number in order))
        words, firsts = _postings(self._texts)
        self._words = sorted(words)
        self._postings = [words[word] for word in self._words]
        self._firsts = [firsts.get(word, ()) for word in self._words]
        self._joined = "\n".join(self._words)
        self._starts = array("I", accumulate((len(word) + 1 for word in self._words), initial=0))
        self._kept: OrderedDict[tuple[str, ...], Sequence[int]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def find(self, words: Sequence[str]) -> Sequence[int]:
        """Return the places of the concepts that have a text with all (folded) words in it, best first."""
        key = tuple(words)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        places = array("I", dict.fromkeys(map(self._owners.__getitem__, self._ranked(key))))
        with self._lock:
            if key not in self._kept:
                self._kept[key] = places
                self._size += len(places)
            while len(self._kept) > _KEPT or (len(self._kept) > 1 and self._size > _MOST_KEPT):
                self._size -= len(self._kept.popitem(last=False)[1])
        return places

    def _ranked(self, words: Sequence[str]) -> Iterable[int]:
        """Return the texts that have all words: those that begin so, those with these words, with words that begin so,
        with such within. One may come again, in a lower rank."""
        if not words:
            return ()
        begun = [self._having(self._beginning(word)) for word in words]
        starts = set.intersection(*begun)
        whole = set.intersection(*(self._having(self._same(word)) for word in words))
        inside = [
            some | self._having(self._holding(word)) if len(word) >= _INSIDE else some
            for some, word in zip(begun, words, strict=True)
        ]
        every = starts if all(len(word) < _INSIDE for word in words) else set.intersection(*inside)
        return chain(sorted(self._beginning_so(words, every)), sorted(whole), sorted(starts), sorted(every))

    def _beginning_so(self, words: Sequence[str], every: set[int]) -> Iterable[int]:
        """Return the texts that begin with all that was typed, the text itself among them."""
        if len(words) == 1:
            return set().union(*(self._firsts[number] for number in self._beginning(words[0])))
        asked = " ".join(words)
        return [number for number in every if self._texts[number].startswith(asked)]

    def _having(self, numbers: Iterable[int]) -> set[int]:
        """Return the texts that have any of some words."""
        return set().union(*(self._postings[number] for number in numbers))

    def _same(self, word: str) -> Sequence[int]:
        at = bisect_left(self._words, word)
        return (at,) if at < len(self._words) and self._words[at] == word else ()

    def _beginning(self, word: str) -> Sequence[int]:
        return range(bisect_left(self._words, word), bisect_left(self._words, word + _LAST))

    def _holding(self, word: str) -> Iterator[int]:
        """Yield the words that hold a text anywhere."""
        at = self._joined.find(word)
        while at >= 0:
            number = bisect_left(self._starts, at + 1) - 1
            yield number
            at = self._joined.find(word, self._starts[number + 1])


def _texts(concepts: Iterable[Concept]) -> "tuple[list[str], array[int]]":
    """Return the folded texts of all concepts, each once for a concept, and whose they are."""
    texts: list[str] = []
    owners = array("I")
    for place, concept in enumerate(concepts):
        for text in dict.fromkeys(" ".join(folded(text).split()) for text in texts_of(concept)):
            texts.append(text)
            owners.append(place)
    return texts, owners


def _postings(texts: Sequence[str]) -> "tuple[dict[str, array[int]], dict[str, array[int]]]":
    """Return the texts that have a word, and those that begin with it."""
    words: dict[str, array[int]] = {}
    firsts: dict[str, array[int]] = {}
    for number, text in enumerate(texts):
        own = text.split()
        for word in dict.fromkeys(own):
            if word in words:
                words[word].append(number)
            else:
                words[word] = array("I", (number,))
        if own:
            firsts.setdefault(own[0], array("I")).append(number)
    return words, firsts
