"""Table of cards: rows of patient-view, order-sign and encounter-discharge, read from the JSON beside."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fhir_ai.findings.table import Asked, floats, measures, unknown
from fhir_server.plugin_api import decode

Hook = Literal["patient-view", "order-sign", "encounter-discharge"]
Indicator = Literal["critical", "warning", "info"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Source(_Row):
    """Where a row comes from, as cards show it."""

    label: str
    url: str


class CardRow(_Row):
    """One card. orders, not_orders: groups of what is ordered; with_, and_with, without: of what is taken or ordered.

    remove: the order may be taken back by the card. follow_up: days within which a visit is proposed.
    """

    name: str
    hook: Hook
    orders: str = ""
    not_orders: str = ""
    with_: str = Field("", alias="with")
    and_with: str = ""
    without: str = ""
    if_: Asked | None = Field(None, alias="if")
    indicator: Indicator
    summary: str = Field(max_length=139)
    detail: str
    source: str
    remove: bool = False
    follow_up: int = 0

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups of medicines that it names."""
        return tuple(
            each for each in (self.orders, self.not_orders, self.with_, self.and_with, self.without) if each
        )  # fmt: skip


class DueRow(_Row):
    """A test that is due when its newest result is older than some days."""

    name: str
    title: str
    if_: Asked = Field(alias="if")
    measure: str
    days: int
    source: str


class Cards(_Row):
    """All rows, with their sources and groups of medicines (ATC, by the beginning)."""

    version: str
    comment: str
    sources: Mapping[str, Source]
    groups: Mapping[str, tuple[str, ...]]
    rows: tuple[CardRow, ...]
    due: tuple[DueRow, ...]

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Refuse names that nothing stands for."""
        both: tuple[CardRow | DueRow, ...] = (*self.rows, *self.due)
        lost = [row.source for row in both if row.source not in self.sources]
        lost += [group for row in self.rows for group in row.groups if group not in self.groups]
        asked = [row.if_ for row in both if row.if_ is not None]
        lost += [name for each in asked for name in unknown(each)]
        lost += [row.measure for row in self.due if row.measure not in measures()]
        lost += [row.name for row in self.rows if row.if_ is None and not row.orders]
        if lost:
            raise ValueError(f"nothing is known of {', '.join(lost)}")
        return self

    def of(self, hook: Hook) -> tuple[CardRow, ...]:
        """Return the rows of a hook."""
        return tuple(row for row in self.rows if row.hook == hook)


@cache
def cards() -> Cards:
    """Return the table. Raises ValidationError: it has not its form."""
    raw: Any = decode(files(__package__).joinpath("cards.json").read_bytes())
    return Cards.model_validate(floats(raw))
