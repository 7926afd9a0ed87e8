"""Where in a resource a check stands, as a chain that is spelled out only when something is found."""


class Place:
    """An element: its name below another place, and its index where it repeats.

    A value of a choice is named `value.ofType(Quantity)`. The place of a resource at the top has no place above.
    """

    __slots__ = ("above", "index", "name")

    def __init__(self, above: "Place | None", name: str, index: int = -1) -> None:
        self.above = above
        self.name = name
        self.index = index

    def path(self) -> str:
        """Return the FHIRPath expression: `Patient.contact[0].name.family`."""
        steps: list[str] = []
        place: Place | None = self
        while place is not None:
            steps.append(place.name if place.index < 0 else f"{place.name}[{place.index}]")
            place = place.above
        return ".".join(reversed(steps))
