"""docs/billing.md says what is in force; its pictures are the tables of the code."""

from pathlib import Path

import pytest
from fhir_billing.ledger.accounts import KINDS
from fhir_billing.payments.processors import KINDS as PROCESSORS
from fhir_billing.payments.states import RANKS, REFUND_STEPS, STEPS, picture
from fhir_billing.reconciliation.formats import FORMATS
from fhir_billing.settings import BillingSettings, ProcessorSettings
from pydantic import BaseModel

FOLDER = Path(__file__).parents[3] / "docs"
DOCS = (FOLDER / "billing.md").read_text()


def test_the_pictures_are_those_of_the_tables() -> None:
    assert picture(STEPS, "created") in DOCS
    assert picture(REFUND_STEPS, "asked") in DOCS


def test_no_step_of_a_payment_goes_back() -> None:
    assert STEPS.keys() == RANKS.keys()
    assert all(RANKS[new] > RANKS[state] for state, following in STEPS.items() for new in following)


@pytest.mark.parametrize("model", [BillingSettings, ProcessorSettings])
def test_every_setting_stands_in_the_table(model: type[BaseModel]) -> None:
    both = DOCS + ((FOLDER / "insurance.md").read_text() if (FOLDER / "insurance.md").exists() else "")
    for name, field in model.model_fields.items():
        assert f"| `{name}` | `" in both
        assert f" | {field.description} |" in both


def test_accounts_processors_and_formats_are_named() -> None:
    for name in (*KINDS, *FORMATS):
        assert name in DOCS
    for name in PROCESSORS:
        assert name in DOCS.lower().replace("-", "")
