"""The account in its forms: parameters for programs, AuditEvents, CSV, and a page for people."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Final

from fhir_audit.disclosures.account import Account, Line
from fhir_server.plugin_api import instant

PURPOSES: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_UNKNOWN: Final = "not stated"
_HEADER: Final = (
    "first", "last", "count", "recipient", "reference", "app", "address", "what", "purpose", "needs no account",
    "events",
)  # fmt: skip
_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1d2733}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.4rem .8rem .4rem 0;"
    "border-bottom:1px solid #ccd5dd;overflow-wrap:anywhere}th{white-space:nowrap}@media print{body{margin:0}}"
)
Names = Mapping[str, str]
_MOST_ADDRESSES: Final = 5
_MOST_WORDS: Final = 20


def recipient_of(line: Line, names: Names) -> str:
    """Return who got the data, as people know them."""
    agent = line.agent
    known = names.get(agent.subject) or agent.subject or names.get(agent.user) or agent.user
    return known or agent.client or "somebody who is not known"


def parts(line: Line, names: Names) -> list[tuple[str, Any]]:
    """Return the parts of a parameter `disclosure`."""
    agent = line.agent
    found: list[tuple[str, Any]] = [
        ("first", instant(line.first)), ("last", instant(line.last)), ("count", line.count),
        ("recipient", recipient_of(line, names)),
    ]  # fmt: skip
    if agent.subject.partition("/")[2]:
        found.append(("reference", {"reference": agent.subject}))
    if agent.client:
        found.append(("app", agent.client))
    found += [("address", address) for address, _ in line.addresses.most_common(_MOST_ADDRESSES)]
    found += [("what", what) for what, _ in line.what.most_common(_MOST_WORDS)]
    coded = line.purpose.isupper() and line.purpose.isascii()
    concept = {"coding": [{"system": PURPOSES, "code": line.purpose}]} if coded else {"text": line.purpose or _UNKNOWN}
    found.append(("purpose", concept))
    if line.why:
        found.append(("needsNoAccount", line.why))
    return [*found, *(("event", {"reference": f"AuditEvent/{seq}"}) for seq in line.seqs)]


def table(lines: Sequence[Line], names: Names) -> bytes:
    """Return CSV. A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_HEADER)
    for line in lines:
        writer.writerow([_harmless(str(cell)) for cell in _cells(line, names)])
    return out.getvalue().encode()


def _cells(line: Line, names: Names) -> Iterable[object]:
    agent = line.agent
    return (
        instant(line.first), instant(line.last), line.count, recipient_of(line, names), agent.subject, agent.client,
        " ".join(address for address, _ in line.addresses.most_common(_MOST_ADDRESSES)),
        "; ".join(what for what, _ in line.what.most_common(_MOST_WORDS)), line.purpose or _UNKNOWN, line.why,
        " ".join(map(str, line.seqs)),
    )  # fmt: skip


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def page(account: Account, lines: Sequence[Line], names: Names, heading: tuple[str, str, str]) -> bytes:
    """Return a page that reads without any program; heading: whose account, its first and its last day."""
    whose, start, end = map(escape, heading)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _shown(line, names)) + "</tr>" for line in lines
    )
    left = ", ".join(f"{escape(why)}: {count}" for why, count in sorted(account.left_out.items()))
    without = (
        f"<p>Left out, as no account of them is due: {left}.</p>" if left and not any(x.why for x in lines) else ""
    )
    body = (
        "<table><thead><tr><th>When</th><th>To whom</th><th>What</th><th>What for</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>" if rows else "<p>No disclosures are recorded in this time.</p>"
    )  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Accounting of disclosures</title><style>{_STYLE}</style></head><body>"
        f"<h1>Accounting of disclosures</h1><p>{whose}, {start} to {end}.</p>{body}{without}</body></html>"
    ).encode()


def _shown(line: Line, names: Names) -> tuple[str, str, str, str]:
    first, last = instant(line.first)[:10], instant(line.last)[:10]
    when = first if first == last else f"{first} to {last}, {line.count} times"
    who = recipient_of(line, names) + (f" with {line.agent.client}" if line.agent.client else "")
    what = "; ".join(what for what, _ in line.what.most_common(_MOST_WORDS))
    return when, who, what, (line.purpose or _UNKNOWN) + (f" ({line.why})" if line.why else "")
