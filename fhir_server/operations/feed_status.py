"""`$feed-status`: how the consumers of the change feed stand."""

from typing import Any

from fhir_server.context import Context
from fhir_server.errors import Forbidden
from fhir_server.feed.desk import status
from fhir_server.model.version import instant
from fhir_server.operations.facts import own
from fhir_server.operations.operation import Call, CoreOperation
from fhir_server.operations.outputs import Outputs, Pairs


async def _run(ctx: Context, call: Call) -> Outputs:
    """Tell it. Raises Forbidden: the caller is no administrator."""
    if not ctx.caller.admin:
        raise Forbidden("$feed-status is for administrators", expression="http.url")
    return Outputs([("consumer", _told(each)) for each in await status(ctx.store)])


def _told(consumer: dict[str, Any]) -> Pairs:
    times = [("oldest", instant(consumer["oldest"]))] if consumer["oldest"] else []
    since = [("failingSince", instant(consumer["failing"]["since"]))] if "failing" in consumer else []
    plain = [(name, consumer[name]) for name in ("name", "txid", "behind", "waiting", "dead")]
    return [*plain, ("state", consumer["state"].replace(" ", "-")), *times, *since]


feed_status = CoreOperation(
    facts=own("feed-status"),
    handler=_run,
    summary="How far the consumers of the change feed are; for administrators.",
)
