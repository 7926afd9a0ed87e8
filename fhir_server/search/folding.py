"""Fold strings so that searches are blind to case, accents, width, punctuation and runs of blanks."""

import re
import unicodedata

# Letters whose stroke is no combining mark, so that decomposition leaves them alone.
_STROKES = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ł": "l", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe"})
_ASCII = bytes(ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else 32 for code in range(256))
_APOSTROPHES = re.compile("['\u2018\u2019\u02bc\u00b4`]")


def fold(text: str) -> str:
    """Return the form under which strings are stored and compared (`:exact` compares the original).

    `"  O'Brien-Smith, José "` is `"obrien smith jose"`: apostrophes go, other punctuation is a blank, runs of blanks
    are one. Text that is nothing but punctuation keeps it, so that it does not become the prefix of everything;
    blank text is "".

    Spec: https://hl7.org/fhir/R4/search.html#string
    """
    if text.isascii():
        folded = b" ".join(text.encode().translate(_ASCII, b"'`").split()).decode()
    else:
        folded = _fold_unicode(text)
    return folded or " ".join(text.casefold().split())


def _fold_unicode(text: str) -> str:
    # Compatibility forms first (full width, ligatures), again after casefold, which can bring forth new marks.
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    # Vowel signs of Indic scripts have class 0: they are letters to their readers, and stay.
    plain = "".join(c for c in plain if not unicodedata.combining(c)).translate(_STROKES)
    kept = "".join(c if _is_letter(c) else " " for c in _APOSTROPHES.sub("", plain))
    return " ".join(kept.split())


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNM"
