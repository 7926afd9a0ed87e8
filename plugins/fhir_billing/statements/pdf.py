"""A statement as PDF, with amounts as the reader's language has them."""

from typing import Any

from fhir_billing.money import Money
from fhir_billing.statements.account import Statement

_COLUMNS = ((26, "Date"), (84, "What"), (34, "Amount"), (34, "Balance"))


def shown(money: Money, locale: str) -> str:
    """Return an amount as a language writes it: `NGN 1,500.00`; CLDR says how.

    Source: https://cldr.unicode.org
    """
    from babel.numbers import format_currency

    return str(format_currency(money.amount, money.currency, format="¤¤ #,##0.00", locale=locale, currency_digits=True))


def pdf(found: Statement, party: str, provider: str, day: str, locale: str = "en") -> bytes:
    """Return the statement. Nothing but its own figures stands in it."""
    from fpdf import FPDF

    page: Any = FPDF()
    page.add_page()
    page.set_font("Helvetica", "B", 16)
    page.cell(0, 10, "Statement of account", new_x="LMARGIN", new_y="NEXT")
    page.set_font("Helvetica", "", 10)
    for line in (provider, f"For: {party}", f"Date: {day}"):
        if line:
            page.cell(0, 6, _latin(line), new_x="LMARGIN", new_y="NEXT")
    page.ln(4)
    _table(page, found, locale)
    page.ln(4)
    page.set_font("Helvetica", "B", 11)
    for name, amounts in (("To pay", found.open), ("Credit", found.credit)):
        for money in amounts.values():
            page.cell(0, 7, _latin(f"{name}: {shown(money, locale)}"), new_x="LMARGIN", new_y="NEXT")
    return bytes(page.output())


def _table(page: Any, found: Statement, locale: str) -> None:
    page.set_font("Helvetica", "B", 10)
    for width, title in _COLUMNS:
        page.cell(width, 7, title, border="B")
    page.ln()
    page.set_font("Helvetica", "", 9)
    running: dict[str, Money] = {}
    for row in found.rows:
        currency = row.amount.currency
        running[currency] = running[currency] + row.amount if currency in running else row.amount
        texts = (
            row.day,
            f"{row.what} {row.document[:24]}",
            shown(row.amount, locale),
            shown(running[currency], locale),
        )
        for (width, _), text in zip(_COLUMNS, texts, strict=True):
            page.cell(width, 6, _latin(text)[:52])
        page.ln()


def _latin(text: str) -> str:
    """Return what the built-in fonts have; other letters become question marks."""
    return text.replace("\u202f", " ").replace("\xa0", " ").encode("latin-1", "replace").decode("latin-1")
