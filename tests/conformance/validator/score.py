"""The score of the official validator cases: the same verdict, and the same elements at fault."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import msgspec

from fhir_server.errors import FhirError, Issue
from fhir_server.model.json import JsonError, decode
from tests.conformance.score import Score
from tests.conformance.validator.cases import Case, Verdict, cases
from tests.conformance.validator.surroundings import parse, read_lenient, surroundings

VERDICT_FLOOR = 0.92
ELEMENT_FLOOR = 0.8
_CRASH = "crash"


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of one case."""

    case: Case
    expected: Verdict
    actual: Verdict
    issues: tuple[Issue, ...]

    @property
    def verdict(self) -> bool:
        """Tell whether both say valid or both say invalid; a crash says neither."""
        return self.expected.valid == self.actual.valid and not self.crashed

    @property
    def crashed(self) -> bool:
        """Tell whether the validator failed."""
        return any(issue.severity == _CRASH for issue in self.issues)

    @property
    def element(self) -> bool:
        """Tell whether both blame an element in common; where neither blames one, that counts too."""
        wanted, found = self.expected.elements, self.actual.elements
        return self.verdict and (bool(wanted & found) or not wanted)

    @property
    def title(self) -> str:
        """Return the name of the case, and whether it is about a profile."""
        return f"{self.case.module}/{self.case.name}" + (" (profile)" if self.case.profile else "")


def run(case: Case) -> Result:
    """Validate one case."""
    try:
        issues = tuple(_issues(case))
    except Exception as error:  # what crashes on one case must not hide the score of the others
        issues = (Issue(f"crash: {error!r}", "exception", _CRASH),)
    return Result(case, Verdict.of(case.expected()), Verdict.of([issue.as_json() for issue in issues]), issues)


def _issues(case: Case) -> Iterator[Issue]:
    data = case.data()
    if case.file.endswith(".ndjson"):
        for line in filter(None, map(bytes.strip, data.splitlines())):
            yield from _checked(decode(line), case)
        return
    try:
        resource = parse(data, case.file)
    except (FhirError, JsonError, msgspec.MsgspecError) as error:
        issues = error.issues if isinstance(error, FhirError) else ()
        yield from issues or (Issue(str(error), "invalid", "fatal"),)
        return
    yield from _checked(resource, case)


def _checked(resource: object, case: Case) -> Iterable[Issue]:
    around = surroundings(case)
    # What the reference validator's test bed is set to: an extension that nobody knows is an error.
    return around.validator.check(
        resource, profiles=_profiles(case), resolve=around.resolve, unknown_extensions="error"
    )


def _profiles(case: Case) -> tuple[str, ...]:
    if not case.profile or "://" in case.profile:
        return (case.profile,) if case.profile else ()
    source = read_lenient(case.profile)
    return (str(source["url"]),)


@cache
def results() -> tuple[Result, ...]:
    """Run every case, once a process."""
    return tuple(map(run, cases()))


def scores() -> list[Score]:
    """Verdicts of all cases; and elements, of those that both find bad."""
    found = results()
    bad = [result for result in found if not result.expected.valid]
    return [
        Score(
            "validator, verdicts",
            sum(result.verdict for result in found),
            len(found),
            VERDICT_FLOOR,
            tuple(miss(result) for result in found if not result.verdict),
        ),
        Score(
            "validator, elements at fault",
            sum(result.element for result in bad),
            len(bad),
            ELEMENT_FLOOR,
            tuple(miss(result) for result in bad if result.verdict and not result.element),
        ),
    ]


def miss(result: Result) -> str:
    """Say in one line what is not as expected."""
    wanted, found = result.expected, result.actual
    if result.verdict:
        return f"{result.title}: expected {_listed(wanted.elements)}, found {_listed(found.elements)}"
    if wanted.valid or result.crashed:
        first = next(issue for issue in result.issues if issue.severity in ("error", "fatal", _CRASH))
        return f"{result.title}: valid, but {', '.join(first.expression)}: {first.diagnostics[:160]}"
    return f"{result.title}: no fault found in {_listed(wanted.elements)}"


def _listed(elements: frozenset[str]) -> str:
    return ", ".join(sorted(elements)[:4]) + (" ..." if len(elements) > 4 else "") if elements else "the text"
