"""What administrators do with masks of roles; every input is checked here."""

from collections.abc import Sequence
from typing import Any

from fhir_server.auth.desk import Desk
from fhir_server.auth.masks import OTHERS, BadMask, masks_of, read_rules, save_masks
from fhir_server.auth.roles import roles_of
from fhir_server.definitions import load
from fhir_server.errors import BadValue, NotFound

_MOST = 200

Shown = dict[str, list[dict[str, Any]]]


async def shown(desk: Desk) -> Shown:
    """Return the rules of all roles."""
    return {role: [rule.as_json() for rule in rules] for role, rules in (await masks_of(desk, load())).items()}


async def set_rules(desk: Desk, role: str, items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Set what is hidden from the users of a role. Raises NotFound: no such role; BadValue: a rule without meaning."""
    if role != OTHERS and role not in roles_of(desk.settings.roles_file):
        raise NotFound(f"there is no role {role[:80]!r}; {OTHERS!r} stands for callers without one")
    if len(items) > _MOST:
        raise BadValue(f"a role has at most {_MOST} rules")
    try:
        rules = read_rules(items, load())
    except BadMask as error:
        raise BadValue(str(error), expression="rules") from None
    await save_masks(desk, role, rules)
    return [rule.as_json() for rule in rules]
