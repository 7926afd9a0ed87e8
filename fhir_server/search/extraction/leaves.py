"""Write the code that reads one element: inline for what is common, else a call of its reader."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fhir_server.definitions import Definitions
from fhir_server.search.extraction.elements import Reader, code_reader
from fhir_server.search.extraction.plan import Others, Reading
from fhir_server.search.extraction.readers import Readers
from fhir_server.search.extraction.writer import Writer

LISTS: Mapping[str, str] = {
    "token": "tokens",
    "string": "strings",
    "date": "dates",
    "number": "numbers",
    "quantity": "quantities",
    "uri": "uris",
    "reference": "references",
    "composite": "composites",
    "special": "positions",
}
"""Kind of parameter to field of `IndexEntries`, in the order of the fields."""

_MOST_COMPOSITES = 10_000
_LIST_OF = {**LISTS, "text": "strings"}


@dataclass(frozen=True, slots=True)
class Uses:
    """What becomes of the values that are read: rows of parameters, and composites; `others` are names of variables."""

    codes: tuple[str, ...]
    tails: tuple[tuple[Others, str, tuple[str, ...]], ...] = ()


class Leaves:
    """Writes the reading of elements into a function."""

    def __init__(self, writer: Writer, facts: Definitions, readers: Readers) -> None:
        self._w = writer
        self._facts = facts
        self._readers = readers

    def write(self, x: str, uses: Mapping[Reading, Uses]) -> None:
        """Write all that is read in the element `x`."""
        left = dict(uses)
        for reading in uses:
            if reading in left:
                self._one(x, reading, left)

    def _one(self, x: str, reading: Reading, left: dict[Reading, Uses]) -> None:
        match reading.kind, reading.type:
            case "token" | "text", "CodeableConcept" | "Coding":
                token, text = Reading("token", reading.type), Reading("text", reading.type)
                write = self._coding if reading.type == "Coding" else self._concept
                write(x, left.pop(token, None), left.pop(text, None))
            case "reference" | "text", "Reference":
                chosen = [each for each in left if each.type == "Reference"]
                self._reference(x, {each: left.pop(each) for each in chosen})
            case "token", "code":
                self._code(x, reading, left.pop(reading))
            case "date", "date" | "dateTime" | "instant":
                self._date(x, reading, left.pop(reading))
            case _:
                self._other(x, reading, left.pop(reading))

    # --- what becomes of values

    def _emit(self, kind: str, uses: Uses, values: str, suffix: str = "") -> None:
        self._append(_LIST_OF[kind], [code + suffix for code in uses.codes], values)
        if uses.tails and not suffix:
            part = self._w.assign(f"({kind!r}, {values})")
            for others, variable, codes in uses.tails:
                at = others.at
                row = f"(*o, {part})" if at == len(others.parts) else f"(*o[:{at}], {part}, *o[{at}:])"
                # Somebody may send thousands of codings in both parts.
                with self._w.block(f"for o in {variable} if len(composites) < {_MOST_COMPOSITES} else ():"):
                    self._append("composites", list(codes), row)

    def _append(self, list_: str, codes: list[str], values: str) -> None:
        rows = [f"({code!r}, {values})" for code in codes]
        if len(rows) == 1:
            self._w.line(f"{list_}.append({rows[0]})")
        elif rows:
            self._w.line(f"{list_} += ({', '.join(rows)})")

    # --- kinds of element

    def _concept(self, x: str, token: Uses | None, text: Uses | None) -> None:
        if text:
            self._text(f"{x}.get('text')", text, "w")
        codings = self._w.assign(f"{x}.get('coding')")
        with self._w.block(f"if {codings}:"):
            coding = self._w.name("x")
            with self._w.block(f"for {coding} in {codings}:"):
                self._coding(coding, token, text, beside="w" if text else "")
        if token:
            with self._w.block("else:"):
                self._emit("token", token, "None, ''")

    def _coding(self, x: str, token: Uses | None, text: Uses | None, beside: str = "") -> None:
        if token:
            self._w.line(f"s = {x}.get('system')")
            self._w.line(f"c = {x}.get('code', '')")
            self._emit("token", token, "s, c")
        if text:
            self._text(f"{x}.get('display')", text, "d", beside)

    def _text(self, expression: str, uses: Uses, name: str, beside: str = "") -> None:
        """Write a row for a text unless it is the one that stands beside it."""
        self._w.line(f"{name} = {expression}")
        with self._w.block(f"if {name} and {name} != {beside}:" if beside else f"if {name}:"):
            self._fold(name)
            self._emit("text", uses, "f, ''")

    def _fold(self, name: str) -> None:
        self._w.line(f"f = FOLDED.get({name})")
        self._w.line(f"f = f[0] if f else fold({name})")

    def _code(self, x: str, reading: Reading, uses: Uses) -> None:
        table, only = self.system(reading.value_set)
        if table is None:
            self._emit("token", uses, f"{only!r}, {x}")
        else:
            self._emit("token", uses, f"{self._w.constant('SYSTEMS', table)}.get({x}), {x}")

    def system(self, value_set: str) -> tuple[Mapping[str, str] | None, str | None]:
        """Return how a `code` gets its system: by a table, or the only one there is."""
        codes = self._facts.required_codes.get(value_set)
        if codes is None:
            return None, self._facts.code_systems.get(value_set)
        systems = set(codes.values())
        return (None, systems.pop()) if len(systems) == 1 else (codes, None)

    def _date(self, x: str, reading: Reading, uses: Uses) -> None:
        self._w.line(f"d = DATES.get({x}, {x})")
        with self._w.block(f"if d is {x}:"):
            self._w.line(f"d = read_date({x})")
        with self._w.block("if d:"):
            if reading.type == "instant":  # has no width, however many digits it has
                self._w.line("low = d[0]")
                self._emit("date", uses, "low, low + 1")
            else:
                self._w.line("low, high = d")
                self._emit("date", uses, "low, high")

    def _reference(self, x: str, uses: Mapping[Reading, Uses]) -> None:
        rows = {reading.target: use for reading, use in uses.items() if reading.kind == "reference"}
        texts = {reading.target: use for reading, use in uses.items() if reading.kind == "text"}
        self._w.line(f"t = {x}.get('reference')")
        with self._w.block("if t:"):
            self._w.line("v = REFERENCES.get(t)")
            with self._w.block("if v is None:"):
                self._w.line("v, k = read_reference(t, scope)")
                with self._w.block("if k is None:"):
                    self._w.line(f"k = {x}.get('type')")
            with self._w.block("else:"):
                self._w.line("k = v[0]")
            self._w.line("a, b, u, n = v")
            self._by_target(rows, lambda use: self._emit("reference", use, "a, b, u, n"))
        with self._w.block("else:"):
            self._w.line(f"k = {x}.get('type')")
        self._w.line(f"i = {x}.get('identifier')")
        with self._w.block("if i:"), self._w.block("for s, c in read_identifier(i, scope):"):
            self._by_target(rows, lambda use: self._emit("token", use, "s, c", ":identifier"))
        if texts:
            self._w.line(f"d = {x}.get('display')")
            with self._w.block("if d:"):
                self._fold("d")
                self._by_target(texts, lambda use: self._emit("text", use, "f, ''"))

    def _by_target(self, uses: Mapping[str, Uses], emit: Callable[[Uses], None]) -> None:
        for target, use in uses.items():
            if not target:
                emit(use)
            else:
                with self._w.block(f"if k == {target!r}:"):
                    emit(use)

    def _other(self, x: str, reading: Reading, uses: Uses) -> None:
        read = self._w.constant("read", self._readers.reader(reading.kind, reading.type))
        rows = f"{read}({x}, scope)"
        if reading.type == "Resource" and reading.target:
            rows = f"[v for v in {rows} if v[0] == {reading.target!r}]"
        with self._w.block(f"for v in {rows}:"):
            self._emit(reading.kind, uses, "*v")
        if (reading.kind, reading.type) == ("token", "Identifier") and uses.codes:
            with self._w.block(f"if 'type' in {x}:"), self._w.block(f"for v in read_identifier_types({x}):"):
                self._emit("token", uses, "*v", ":of-type")

    # --- collecting

    def collecting(self, writer: Writer) -> "Leaves":
        """Return leaves that append what they read, kind first, to the list that stands as the code."""
        return _Collecting(writer, self._facts, self._readers)


class _Collecting(Leaves):
    def write(self, x: str, uses: Mapping[Reading, Uses]) -> None:
        for reading, use in uses.items():
            read = self._w.constant("read", self._reader(reading))
            with self._w.block(f"for v in {read}({x}, scope):"):
                self._w.line(f"{use.codes[0]}.append(({reading.kind!r}, *v))")

    def _reader(self, reading: Reading) -> Reader | None:
        if (reading.kind, reading.type) != ("token", "code"):
            return self._readers.reader(reading.kind, reading.type)
        table, only = self.system(reading.value_set)
        return code_reader(table or {}, only)
