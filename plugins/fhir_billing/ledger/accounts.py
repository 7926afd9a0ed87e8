"""The chart of accounts: names are paths, and the first part says what kind of account it is.

A debit is above zero and a credit below it, in every account. What a party owes lies in one account for each document
(`receivable/patient/P1/INV1`), so that two payments of one invoice meet in one place; what everybody uses (revenue, a
processor's clearing account) is kept in shards, so that they do not wait for each other.
"""

from typing import Final, Literal

Kind = Literal["asset", "liability", "income", "expense", "exchange"]

KINDS: Final[dict[str, Kind]] = {
    "unbilled": "asset",
    "receivable": "asset",
    "cash": "asset",
    "processor": "asset",
    "bank": "asset",
    "credit": "liability",
    "refund": "liability",
    "suspense": "liability",
    "revenue": "income",
    "discount": "expense",
    "exemption": "expense",
    "contractual": "expense",
    "writeoff": "expense",
    "fee": "expense",
    "rounding": "expense",
    "fx": "expense",
    "shortage": "expense",
    "exchange": "exchange",
}
"""First part of a name to the kind of account."""

_SHARDED: Final = frozenset(KINDS) - {"receivable", "credit", "refund", "unbilled", "cash", "suspense"}


def is_sharded(account: str) -> bool:
    """Tell whether an account is one that everybody uses."""
    return account.partition("/")[0] in _SHARDED


def kind_of(account: str) -> Kind:
    """Return the kind of an account. Raises ValueError: it is not of the chart."""
    try:
        return KINDS[account.partition("/")[0]]
    except KeyError:
        raise ValueError(f"{account[:80]!r} is no account of the chart") from None


def receivable(party: str, document: str) -> str:
    """Return what a party owes on a document: `receivable/Patient.P1/INV1`; party is a reference, `Organization/7`."""
    return f"receivable/{party.replace('/', '.')}/{document}"


def unbilled(patient: str) -> str:
    """Return what was charged to a patient and is on no invoice yet."""
    return f"unbilled/{patient}"


def credit_of(party: str) -> str:
    """Return what a party paid beyond what it owed: `credit/Patient.P1`."""
    return f"credit/{party.replace('/', '.')}"


def refund_due(refund: str) -> str:
    """Return what is to be paid back by one refund."""
    return f"refund/{refund}"


def revenue(category: str = "services") -> str:
    """Return what was earned."""
    return f"revenue/{category}"


def contractual(payer: str) -> str:
    """Return what a payer's contract takes off (group CO): `contractual/Organization.7`."""
    return f"contractual/{payer.replace('/', '.')}"


def exemption(rule: str) -> str:
    """Return what nobody has to pay, by the rule that says so."""
    return f"exemption/{rule}"


def writeoff(reason: str) -> str:
    """Return what was given up."""
    return f"writeoff/{reason}"


def cash(shift: str) -> str:
    """Return the drawer of a cashier's shift."""
    return f"cash/{shift}"


def processor(name: str) -> str:
    """Return what a payment processor holds for us until it settles."""
    return f"processor/{name}"


def bank(name: str = "main") -> str:
    """Return a bank account of ours."""
    return f"bank/{name}"


def fee(processor_name: str) -> str:
    """Return what a processor keeps."""
    return f"fee/{processor_name}"


def suspense(source: str) -> str:
    """Return money that came and that nobody knows the reason of yet."""
    return f"suspense/{source}"


def exchange(currency: str) -> str:
    """Return our position in a currency: one side of every exchange."""
    return f"exchange/{currency}"


FX: Final = "fx/realized"
ROUNDING: Final = "rounding/cash"
