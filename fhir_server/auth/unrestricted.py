"""The restrictions that need no grant: everything, and nothing but what is public."""

from dataclasses import dataclass, field

from fhir_server.search.query import EVERYTHING, NOTHING, Node, Visibility


@dataclass(frozen=True, slots=True)
class Open:
    """The Restriction of a server without authorization: everything is seen and allowed."""

    visibility: Visibility = field(default_factory=Visibility)
    mask: None = None
    bound: bool = False

    def shows_all(self, type_: str) -> bool:
        """Everything is shown."""
        return True

    def may(self, interaction: str, type_: str | None) -> bool:
        """Allow it."""
        return True

    def writable(self, letter: str, type_: str) -> Node:
        """Everything may be written."""
        return EVERYTHING

    def permitted(self, type_: str) -> Node:
        """Nothing stands in the way."""
        return EVERYTHING

    @property
    def nameable(self) -> Visibility:
        """Everything may be named."""
        return self.visibility


@dataclass(frozen=True, slots=True)
class Public:
    """The Restriction of who has no token: the statement of what the server can do, and no data."""

    visibility: Visibility = field(default_factory=lambda: Visibility(NOTHING))
    mask: None = None
    bound: bool = False

    def shows_all(self, type_: str) -> bool:
        """Nothing is shown."""
        return False

    def may(self, interaction: str, type_: str | None) -> bool:
        """Allow nothing but the statement."""
        return interaction == "capabilities"

    def writable(self, letter: str, type_: str) -> Node:
        """Nothing may be written."""
        return NOTHING

    def permitted(self, type_: str) -> Node:
        """Nothing is permitted."""
        return NOTHING

    @property
    def nameable(self) -> Visibility:
        """Nothing may be named."""
        return self.visibility
