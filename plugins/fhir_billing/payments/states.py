"""The states of a payment and of a refund: tables; docs/billing.md shows them as pictures made from these.

No step goes back: each leads to a state of a higher rank. What a processor tells late or twice changes nothing.
"""

from collections.abc import Mapping
from typing import Final, Literal

State = Literal[
    "created", "requested", "unknown", "pending", "cancelled", "expired", "failed", "succeeded", "settled", "disputed",
    "lost",
]  # fmt: skip

RANKS: Final[Mapping[State, int]] = {
    "created": 0,
    "requested": 1,
    "unknown": 2,
    "pending": 3,
    "cancelled": 4,
    "expired": 4,
    "failed": 4,
    "succeeded": 5,
    "settled": 6,
    "disputed": 7,
    "lost": 8,
}
STEPS: Final[Mapping[State, frozenset[State]]] = {
    "created": frozenset(("requested", "cancelled", "succeeded")),
    "requested": frozenset(("unknown", "pending", "failed", "succeeded", "cancelled", "expired")),
    "unknown": frozenset(("pending", "failed", "succeeded", "cancelled", "expired")),
    "pending": frozenset(("failed", "succeeded", "cancelled", "expired")),
    # money may come after all: a processor that says so, when asked, is believed
    "cancelled": frozenset(("succeeded",)),
    "expired": frozenset(("succeeded",)),
    "failed": frozenset(("succeeded",)),
    "succeeded": frozenset(("settled", "disputed")),
    "settled": frozenset(("disputed",)),
    "disputed": frozenset(("lost",)),
    "lost": frozenset(),
}
"""What may follow each state. `unknown`: money may have moved; only an answer of the processor leads out of it."""

OPEN: Final = frozenset(("requested", "unknown", "pending"))
"""States in which the processor is asked what became of a payment."""
MOVED: Final = frozenset(("succeeded", "settled", "disputed"))
"""States in which the money is in the books."""

RefundState = Literal["asked", "approved", "refused", "sent", "unknown", "paid", "failed"]

REFUND_STEPS: Final[Mapping[RefundState, frozenset[RefundState]]] = {
    "asked": frozenset(("approved", "refused")),
    "approved": frozenset(("sent", "paid")),
    "sent": frozenset(("unknown", "paid", "failed")),
    "unknown": frozenset(("paid", "failed")),
    "refused": frozenset(),
    "paid": frozenset(),
    "failed": frozenset(),
}


def may_follow(state: State, new: State) -> bool:
    """Tell whether a payment may go from one state to another."""
    return new in STEPS[state]


def picture(steps: Mapping[str, frozenset[str]], first: str) -> str:
    """Return a state machine as a Mermaid diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {first}"]
    for state, following in steps.items():
        lines += [f"    {state} --> {new}" for new in sorted(following)]
        lines += [f"    {state} --> [*]"] if not following else []
    return "\n".join(lines)
