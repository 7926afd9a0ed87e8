"""The engine: what analysts worked out by hand, and laws that hold for any claim under any table."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from fhir_billing.adjudication.engine import adjudicate
from fhir_billing.adjudication.facts import Authorization, Case, Line, Member, PriorLine
from fhir_billing.adjudication.library import SHIPPED, NoPlan, Plans, load_all
from fhir_billing.adjudication.loading import BadTable, load, made_of
from fhir_billing.adjudication.matching import Compiled
from fhir_billing.adjudication.plan import Benefit, Bundle, Limits, Plan, Price
from fhir_billing.adjudication.reasons import GROUPS
from fhir_billing.adjudication.results import Adjustment, Result
from fhir_billing.adjudication.vectors import run
from fhir_billing.money import smallest_of
from hypothesis import given, settings
from hypothesis import strategies as st

PLANS = load_all(SHIPPED)
CENT = Decimal("0.01")
DAY = date(2026, 3, 2)
CODES = ("A1", "A2", "B1", "B2", "C1")


def test_what_analysts_worked_out_by_hand_is_what_the_engine_says() -> None:
    count, faults = run(SHIPPED, PLANS)
    assert not faults
    assert count >= 20


def test_each_shipped_plan_has_tests_beside_it() -> None:
    tables = [path for path in SHIPPED.glob("*.yaml") if ".tests." not in path.name]
    assert all(path.with_name(f"{path.stem}.tests.yaml").exists() for path in tables)


def amounts(most: int, places: int) -> st.SearchStrategy[Decimal]:
    return st.decimals(0, most, places=places, allow_nan=False)


def plans(places: int) -> st.SearchStrategy[Plan]:
    maybe = st.none() | amounts(300, places)
    rows = st.builds(
        Benefit,
        benefit=st.sampled_from(("one", "two")), codes=st.sampled_from([("*",), ("A*",), ("B1",), ("C1", "A2")]),
        covered=st.booleans() | st.just(True), deductible=st.booleans(), copay=amounts(50, places),
        copay_per=st.sampled_from(("line", "unit", "day")), coinsurance=st.integers(0, 100).map(Decimal),
        to_maximum=st.booleans(), limit_amount=maybe, limit_units=st.none() | st.integers(0, 5).map(Decimal),
        limit_per=st.sampled_from(("year", "lifetime", "day")), authorization=st.booleans(),
        network=st.sampled_from(("any", "any", "in", "out")), waiting_days=st.sampled_from((0, 0, 400)),
    )  # fmt: skip
    limits = st.builds(
        Limits, deductible=amounts(200, places), family_deductible=maybe, out_of_pocket=maybe,
        family_out_of_pocket=maybe, annual=maybe, lifetime=maybe,
    )  # fmt: skip
    prices = st.builds(
        Price, code=st.sampled_from(CODES), price=amounts(150, places), modifiers=st.just(()),
        effective_from=st.just(date.min), effective_to=st.just(date.max),
    )  # fmt: skip
    bundles = st.builds(Bundle, service=st.sampled_from(CODES), includes=st.just(("A*",)), unless=st.just(("59",)))
    return st.builds(
        Plan,
        plan=st.just("p"), version=st.just("1"), effective_from=st.just(date(2020, 1, 1)),
        effective_to=st.just(date.max), currency=st.just({0: "UGX", 2: "NGN", 3: "KWD"}[places]), limits=limits,
        benefits=st.lists(rows, min_size=1, max_size=4).map(tuple),
        rounding=st.sampled_from(("half-up", "half-even", "down", "up")), balance_billing=st.booleans(),
        coordination=st.sampled_from(("standard", "non-duplication", "none")),
        over_limit=st.sampled_from(("PR", "CO")), title=st.just(""), payer=st.just(""),
        benefit_year=st.sampled_from(("calendar", "coverage")), timely_filing_days=st.sampled_from((None, 30)),
        liability=st.dictionaries(st.sampled_from(("197", "119", "45")), st.sampled_from(tuple(GROUPS)), max_size=2),
        tariff=st.lists(prices, max_size=3).map(tuple), bundles=st.lists(bundles, max_size=1).map(tuple),
    )  # fmt: skip


@st.composite
def claims(draw: st.DrawFn, places: int) -> Case:
    earlier = st.none() | st.builds(PriorLine, amounts(200, places), amounts(200, places))
    lines = tuple(
        Line(
            number, (draw(st.sampled_from(CODES)),), DAY + timedelta(days=draw(st.sampled_from((-400, 0, 0, 1)))),
            draw(amounts(500, places)), Decimal(draw(st.integers(1, 7))), draw(st.sampled_from([(), ("59",)])), (),
            draw(st.sampled_from(("", "PA1"))), draw(earlier),
        )
        for number in range(1, draw(st.integers(1, 6)) + 1)
    )  # fmt: skip
    granted = {
        "PA1": Authorization(
            ("A*", "B1"), DAY, DAY, draw(st.none() | st.just(Decimal(3))), draw(st.none() | amounts(100, places))
        )
    }
    member = Member(date(1990, 1, 1), date(2025, 6, 1), None, draw(st.sampled_from((1, 2))))
    return Case("XXX", DAY + timedelta(days=20), member, lines, "clinic", draw(st.booleans()), granted)


def _uncovered(one: Adjustment) -> bool:
    return one.group == "PR" and one.category not in ("deductible", "copay", "coinsurance")


def hold(plan: Plan, case: Case, result: Result) -> None:
    """The laws of every adjudication."""
    for line in result.lines:
        assert line.submitted == line.paid + sum(line.of_group(group) for group in GROUPS)
        assert line.paid >= 0
        assert all(each.amount > 0 for each in line.adjustments if each.reason != "45")
        assert line.patient == sum(
            each.amount
            for each in line.adjustments
            if each.category in ("deductible", "copay", "coinsurance") or _uncovered(each)
        )
        smallest = smallest_of(plan.currency)
        assert all(each.amount == each.amount.quantize(smallest) for each in line.adjustments)
    assert result.submitted == result.paid + sum(result.of_group(group) for group in GROUPS)
    shares = [result.of_category(name) for name in ("deductible", "copay", "coinsurance")]
    uncovered = sum(each.amount for line in result.lines for each in line.adjustments if _uncovered(each))
    assert result.patient == sum(shares) + uncovered
    assert result.of_category("deductible") <= plan.limits.deductible * 2  # two benefit years at most


@given(st.sampled_from((0, 2, 3)).flatmap(lambda places: st.tuples(plans(places), claims(places))))
@settings(max_examples=100, deadline=None)
def test_what_is_paid_and_adjusted_is_what_was_submitted(both: tuple[Plan, Case]) -> None:
    plan, case = both
    result = adjudicate(Compiled(plan), case, {}, smallest_of(plan.currency))
    hold(plan, case, result)


@given(st.tuples(plans(2), claims(2), claims(2)))
@settings(max_examples=50, deadline=None)
def test_limits_hold_over_claims_that_follow_each_other(three: tuple[Plan, Case, Case]) -> None:
    plan, one, two = three
    compiled = Compiled(plan)
    first = adjudicate(compiled, one, {}, CENT)
    second = adjudicate(compiled, two, first.used, CENT)
    hold(plan, two, second)
    if plan.limits.lifetime is not None:
        assert first.paid + second.paid <= plan.limits.lifetime
    for name in {*first.used, *second.used}:
        used = first.used.get(name, Decimal(0)) + second.used.get(name, Decimal(0))
        if name.endswith("deductible") and not name.startswith("family"):
            assert used <= plan.limits.deductible
        if name.endswith(":paid") and plan.limits.annual is not None and not name.startswith("life"):
            assert used <= plan.limits.annual


@given(st.tuples(plans(2), claims(2)))
@settings(max_examples=20, deadline=None)
def test_the_same_claim_comes_to_the_same(both: tuple[Plan, Case]) -> None:
    plan, case = both
    assert adjudicate(Compiled(plan), case, {}, CENT) == adjudicate(Compiled(plan), case, {}, CENT)


BASE = {
    "plan": "p", "version": "1", "currency": "USD", "effective_from": date(2026, 1, 1),
    "benefits": [{"benefit": "all", "codes": "*"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("amiss", "said"),
    [
        ({"benefits": []}, "benefits"),
        ({"benefits": [{"benefit": "x", "codes": "*", "coinsurance": 101}]}, "benefits.0.coinsurance"),
        ({"benefits": [{"benefit": "x", "codes": "*", "copay": -1}]}, "benefits.0.copay"),
        ({"benefits": [{"benefit": "x", "codes": "*", "covered": False, "reason": "999"}]}, "reason 999"),
        ({"currency": "dollars"}, "currency"),
        ({"coinsurence": 5}, "coinsurence"),
        ({"effective_to": date(2025, 1, 1)}, "effective_to is before"),
        ({"liability": {"1": "XX"}}, "liability.1"),
    ],
)
def test_a_table_with_a_fault_is_refused_with_its_place(amiss: dict[str, object], said: str) -> None:
    with pytest.raises(BadTable, match=said):
        made_of({**BASE, **amiss})


def test_amounts_of_a_table_keep_their_digits_and_nothing_stands_twice(tmp_path: Path) -> None:
    table = tmp_path / "p.yaml"
    text = "plan: p\nversion: '1'\ncurrency: USD\neffective_from: 2026-01-01\nbenefits: b.csv\n"
    (tmp_path / "b.csv").write_text("benefit,codes,copay\nall,*,0.10\n")
    table.write_text(text + "limits: {deductible: 0.30}\n")
    plan = load(table)
    assert str(plan.limits.deductible) == "0.30"
    assert str(plan.benefits[0].copay) == "0.10"
    table.write_text(text + "version: '2'\n")
    with pytest.raises(BadTable, match=r"version stands twice.*line 6"):
        load(table)
    (tmp_path / "b.csv").write_text("benefit,codes,copay\nall,*\n")
    table.write_text(text)
    with pytest.raises(BadTable, match=r"b\.csv, line 2"):
        load(table)


def test_versions_of_a_plan_follow_each_other_without_overlap() -> None:
    first = made_of({**BASE, "effective_to": date(2026, 6, 30)})
    second = made_of({**BASE, "version": "2", "effective_from": date(2026, 7, 1)})
    both = Plans([second, first])
    assert both.find("p", date(2026, 6, 30)).plan.version == "1"
    assert both.find("p", date(2026, 7, 1)).plan.version == "2"
    with pytest.raises(NoPlan, match="2025-12-31"):
        both.find("p", date(2025, 12, 31))
    with pytest.raises(BadTable, match="still in force"):
        Plans([made_of(BASE), second])
