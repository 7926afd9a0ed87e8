"""The OpenAPI document is true: what it says of a selection of operations is tried out with made-up requests."""

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from tests.integration.running import Running, running

_TYPES = ("Patient", "Observation", "Binary")
_EXAMPLES = 12
_EXPECTED = {GenerationMode.POSITIVE: {200, 400, 404}, GenerationMode.NEGATIVE: {400, 404}}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of its own: made-up requests delete things."""
    with running(tmp_path_factory.mktemp("openapi") / "data", demo=True) as one:
        yield one


def _chosen(path: str) -> bool:
    """All of three types, and what is of the whole system."""
    first = path.removeprefix("/fhir").split("/")[1:2]
    return not first or first[0] in _TYPES or not first[0][:1].isupper()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
def test_answers_are_those_that_the_document_names(server: Running, mode: GenerationMode) -> None:
    url = server.base.removesuffix("/fhir")
    document = httpx.get(f"{url}/openapi.json").json()
    document["paths"] = {path: item for path, item in document["paths"].items() if _chosen(path)}
    schema = schemathesis.openapi.from_dict(document)
    failures: list[str] = []
    seen: Counter[int] = Counter()
    for result in schema.get_all_operations():
        operation = result.ok()
        found = _try(operation, mode, url, seen)
        failures += [f"{operation.label}: {found}"] if found else []
    assert sum(seen.values()) > 300
    assert set(seen) >= _EXPECTED[mode], seen
    assert not failures, "\n\n".join(failures)


def _try(operation: APIOperation, mode: GenerationMode, url: str, seen: Counter[int]) -> str:
    checks = [not_a_server_error, status_code_conformance, content_type_conformance]

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def test(case: Case) -> None:
        answer = case.call(base_url=url)
        seen[answer.status_code] += 1
        case.validate_response(answer, checks=checks)

    try:
        test()
    except FailureGroup as group:
        return "\n".join(str(each) for each in group.exceptions)[:1500]
    except Exception as error:
        if "unsatisfiable" in repr(error).lower():  # nothing wrong can be made for an operation without parameters
            return ""
        return f"{type(error).__name__}: {str(error)[:1500]}"
    return ""
