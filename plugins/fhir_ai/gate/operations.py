"""`Patient/[id]/$remote-opinion`: what a model elsewhere says, marked as that; nothing of it is stored or decides."""

from functools import cache
from importlib.resources import files
from typing import Any

from fhir_ai.gate.gate import Opinion, ask
from fhir_ai.inputs import Finder
from fhir_ai.operations.asked import asked
from fhir_ai.operations.making import about, concept, labelled
from fhir_ai.operations.risk import record_for
from fhir_ai.scopes import hold_to
from fhir_ai.scores.vocabulary import VOCABULARY
from fhir_server.plugin_api import (
    Call,
    Operation,
    OperationFacts,
    Outputs,
    PluginContext,
    ScopeWords,
    decode,
    facts_of,
    instant,
)  # fmt: skip

SCOPE = "__ai-models.remote"
SCOPES = [ScopeWords(SCOPE, "send values of a patient, without names, to models outside of this server")]


def operations() -> list[Operation]:
    """Return it."""
    return [Operation(_facts(), remote_opinion, "What a model elsewhere says of a patient without a name.")]


async def remote_opinion(ctx: PluginContext, call: Call) -> Outputs:
    """Answer a call.

    Raises:
        NotFound: there is no such patient that the caller may see. Forbidden: the scope is missing.
    """
    hold_to(ctx, SCOPE)
    whom = await asked(ctx, call)
    wanted = list(VOCABULARY.values())
    finder = Finder(await record_for(ctx, whom, wanted, ctx.settings), whom.given)
    values = {each.name: found.value for each in wanted if (found := finder.find(each)).state == "found"}
    name = str(call.inputs.one("model"))
    said = await ask(ctx, name, whom.patient, values, str(call.inputs.one("text", "")))
    if not isinstance(said, Opinion):
        return Outputs([("status", "no-opinion"), ("because", said.because)])
    return Outputs([("status", "opinion"), ("opinion", _response(ctx, whom.patient, said))])


def _response(ctx: PluginContext, patient: Any, said: Opinion) -> dict[str, Any]:
    """Return the words as a GuidanceResponse that recommends nothing."""
    notes = [
        f"Said by the remote model {said.remote} at {said.host}, which saw values without a name. Not checked by this "
        "server, which neither stores it nor lets it decide anything.",
        said.text,
    ]
    return labelled(
        {
            "resourceType": "GuidanceResponse",
            "moduleUri": "http://fhir-server.org/OperationDefinition/remote-opinion",
            "status": "success",
            "subject": about(patient),
            "occurrenceDateTime": instant(ctx.now()),
            "reasonCode": [concept("support for a clinician, who decides")],
            "note": [{"text": text} for text in notes],
        }
    )


@cache
def _facts() -> OperationFacts:
    found: Any = decode(files("fhir_ai.gate").joinpath("remote-opinion.json").read_bytes())
    return facts_of(found)
