"""The part of the owner's door that is about the change feed, the schedule and jobs."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fhir_server.feed.desk import UnknownConsumer, dead, drop, status, wish
from fhir_server.feed.feed import ORDERED
from fhir_server.feed.schedule import runs
from fhir_server.jobs.desk import UnknownJob, cancel, listed
from fhir_server.serving.maintenance import Maintenance, milliseconds
from fhir_server.storage.base import Store
from fhir_server.tenancy.registration import DEFAULT

_WISHES = ("pause", "resume", "replay", "skip", "restart")


def feed_routes(maintenance: Maintenance) -> list[Route]:
    """Return the routes below `/feed` and `/jobs`, and that of the schedule."""

    async def shown(request: Request, store: Store) -> object:
        async with maintenance.lend(DEFAULT) as home:
            return await status(store, home)

    async def letters(request: Request, store: Store) -> object:
        asked = request.query_params
        limit = int(asked.get("limit", "100"))
        return await dead(store, asked.get("consumer", ""), after=asked.get("after", ""), limit=limit)

    async def order(request: Request, store: Store) -> object:
        asked: dict[str, Any] = await request.json()
        if asked["what"] == "drop":
            return {"dropped": await drop(store, asked["consumer"], asked.get("ids", ()))}
        if asked["what"] not in _WISHES:
            raise UnknownConsumer(f"nothing is called {asked['what']!r}")
        await wish(store, asked["consumer"], asked["what"], ids=asked.get("ids", ()), to=asked.get("to", "head"))
        maintenance.ring(f"{_tenant(request)}{ORDERED}")
        return {"ordered": asked["what"]}

    async def schedule(request: Request, store: Store) -> object:
        return {name: {**_told(run)} for name, run in sorted((await runs(store)).items())}

    async def jobs(request: Request, store: Store) -> object:
        return await listed(store, milliseconds(), everything=bool(request.query_params.get("all")))

    async def end_job(request: Request, store: Store) -> object:
        asked: dict[str, Any] = await request.json()
        await cancel(store, asked["id"], milliseconds())
        return {"cancelled": asked["id"]}

    def lent(answer: Callable[[Request, Store], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
        async def asked(request: Request) -> Response:
            try:
                async with maintenance.lend(_tenant(request)) as store:
                    return JSONResponse(await answer(request, store))
            except (UnknownConsumer, UnknownJob) as error:
                return JSONResponse({"error": str(error)}, 404)
            except KeyError as error:
                return JSONResponse({"error": f"there is no {error.args[0]!r}"}, 404)

        return asked

    return [
        Route("/feed", lent(shown)),
        Route("/feed/dead", lent(letters)),
        Route("/feed/orders", lent(order), methods=["POST"]),
        Route("/schedule", lent(schedule)),
        Route("/jobs", lent(jobs)),
        Route("/jobs/cancel", lent(end_job), methods=["POST"]),
    ]


def _tenant(request: Request) -> str:
    return request.query_params.get("tenant", DEFAULT)


def _told(run: Any) -> dict[str, Any]:
    names = ("state", "started", "ended", "next", "error")
    return {name: getattr(run, name) for name in names}
