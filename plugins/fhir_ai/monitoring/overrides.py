"""Overrides: how often clinicians overrode what a version said, by their answers to its stored outputs.

An answer is a Task whose focus is a RiskAssessment of the version's Device and whose code is `accepted` or `overridden`
of the CodeSystem of feedback; answers to CDS cards are Tasks of the same form, on outputs of published scores.
"""

from collections import Counter

from fhir_ai.cds.feedback import FEEDBACK
from fhir_server.plugin_api import PluginContext, instant


async def overridden(ctx: PluginContext, device: str, since: int) -> tuple[int, float] | None:
    """Return how many answers of clinicians there are since a time, and the share that overrode the version."""
    asked = [
        ("code", f"{FEEDBACK}|accepted,{FEEDBACK}|overridden"),
        ("focus:RiskAssessment.performer", device),
        ("authored-on", f"ge{instant(since)}"),
    ]
    found = Counter([_answer(task) async for task in ctx.own.each("Task", asked)])
    count = found.total()
    return (count, found["overridden"] / count) if count else None


def _answer(task: dict[str, object]) -> str:
    code = task.get("code")
    codings = code.get("coding", []) if isinstance(code, dict) else []
    return next((str(each.get("code")) for each in codings if each.get("system") == FEEDBACK), "")
