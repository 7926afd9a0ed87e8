"""docs/insurance.md says what the code does."""

import re
from pathlib import Path

import yaml
from fhir_billing.adjudication.loading import made_of
from fhir_billing.adjudication.plan import Benefit, Bundle, Limits, Plan, Price
from fhir_billing.adjudication.reasons import REASONS
from fhir_billing.claims.hooks import operations
from fhir_billing.claims.incoming import ROUTES
from fhir_billing.claims.records import NEXT
from fhir_billing.payers.registry import MAKERS
from fhir_billing.payers.settings import PayerSettings

TEXT = Path("docs/insurance.md").read_text()


def test_the_picture_shows_each_step_and_no_other() -> None:
    drawn = set(re.findall(r"^    (\S+) --> (\S+)$", TEXT, re.MULTILINE))
    steps = {(before or "[*]", after) for before, nexts in NEXT.items() for after in nexts}
    ends = {(state, "[*]") for state, nexts in NEXT.items() if not nexts}
    assert drawn == steps | ends


def test_each_field_of_a_table_is_explained() -> None:
    for model in (Plan, Benefit, Price, Bundle, Limits):
        for name in model.model_fields:
            assert f"`{name}`" in TEXT, f"{model.__name__}.{name}"


def test_operations_routes_kinds_of_payers_and_reasons_are_named() -> None:
    for operation in operations():
        assert f"${operation.facts.code}`" in TEXT, operation.facts.code
    for route in ROUTES:
        assert route.path in TEXT
    for kind in MAKERS:
        assert f"| `{kind}` |" in TEXT
    for name in PayerSettings.model_fields:
        assert re.search(rf"`{name}`|^{name} =", TEXT, re.MULTILINE), name
    told = set(re.findall(r"\((\d+|[A-Z]\d)(?:, \d+)*[^)]*\)", TEXT))
    assert {
        "29",
        "110",
        "22",
        "18",
        "204",
        "242",
        "179",
        "97",
        "197",
        "119",
        "198",
        "45",
        "1",
        "2",
        "3",
        "35",
        "23",
    } <= told
    assert told <= set(REASONS) | {"835"}


def test_the_table_that_is_shown_is_one() -> None:
    found = re.search(r"```yaml\n(.+?)```", TEXT, re.DOTALL)
    assert found is not None
    assert made_of(yaml.safe_load(found[1])).plan == "ng-hmo-standard"
