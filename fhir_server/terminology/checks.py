"""What a check of a code says: the answer of the terminology service to validation, search and `$validate-code`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """The verdict on one code.

    Attributes:
        result: whether the code is right; None where that cannot be told here.
        missing: the canonical URL of the code system or value set that would have to be loaded to tell.
        display: the right display, where the one given is wrong.
        message: what is wrong, for people; empty where nothing is.
    """

    result: bool | None
    missing: str = ""
    display: str = ""
    message: str = ""
