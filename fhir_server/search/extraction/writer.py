"""Writes Python source: lines, blocks, fresh names, and the constants that the text refers to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Writer:
    """A growing text; `constants` becomes the globals of the code."""

    def __init__(self, constants: dict[str, Any]) -> None:
        self.constants = constants
        self._lines: list[str] = []
        self._depth = 0

    @property
    def text(self) -> str:
        """The source so far."""
        return "\n".join(self._lines)

    def line(self, text: str) -> None:
        """Add a line."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add a line that opens a block; what follows within `with` is inside it."""
        self.line(head)
        self._depth += 1
        yield
        self._depth -= 1

    def name(self, prefix: str) -> str:
        """Return a name that nothing else has."""
        key = f"#{prefix}"
        self.constants[key] = number = self.constants.get(key, 0) + 1
        return f"{prefix}{number}"

    def constant(self, prefix: str, value: object) -> str:
        """Return the name of a constant, one for each value."""
        for name, known in self.constants.items():
            if known is value and name.startswith(prefix):
                return name
        name = self.name(prefix)
        self.constants[name] = value
        return name

    def assign(self, expression: str) -> str:
        """Assign an expression to a fresh variable and return its name."""
        name = self.name("x")
        self.line(f"{name} = {expression}")
        return name

    def compiled(self, title: str) -> None:
        """Run the text, which defines functions among the constants."""
        exec(compile(self.text, title, "exec"), self.constants)  # noqa: S102  # our own text: values stand in it as repr()
