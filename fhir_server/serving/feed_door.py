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
    door = _Door(maintenance)
    return [
        Route("/feed", door.lent(door.shown)),
        Route("/feed/dead", door.lent(door.letters)),
        Route("/feed/orders", door.lent(door.order), methods=["POST"]),
        Route("/schedule", door.lent(door.schedule)),
        Route("/jobs", door.lent(door.jobs)),
        Route("/jobs/cancel", door.lent(door.end_job), methods=["POST"]),
    ]


class _Door:
    """The answers; each is given the store of the tenant that is asked about."""

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance

    def lent(self, answer: Callable[[Request, Store], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
        """Return an endpoint that keeps the tenant open while it answers."""

        async def asked(request: Request) -> Response:
            try:
                async with self._maintenance.lend(_tenant(request)) as store:
                    return JSONResponse(await answer(request, store))
            except (UnknownConsumer, UnknownJob) as error:
                return JSONResponse({"error": str(error)}, 404)
            except KeyError as error:
                return JSONResponse({"error": f"there is no {error.args[0]!r}"}, 404)

        return asked

    async def shown(self, request: Request, store: Store) -> object:
        """Tell where the consumers are."""
        async with self._maintenance.lend(DEFAULT) as home:
            return await status(store, home)

    async def letters(self, request: Request, store: Store) -> object:
        """List dead letters."""
        asked = request.query_params
        limit = int(asked.get("limit", "100"))
        return await dead(store, asked.get("consumer", ""), after=asked.get("after", ""), limit=limit)

    async def order(self, request: Request, store: Store) -> object:
        """Give a consumer an order."""
        asked: dict[str, Any] = await request.json()
        if asked["what"] == "drop":
            return {"dropped": await drop(store, asked["consumer"], asked.get("ids", ()))}
        if asked["what"] not in _WISHES:
            raise UnknownConsumer(f"nothing is called {asked['what']!r}")
        await wish(store, asked["consumer"], asked["what"], ids=asked.get("ids", ()), to=asked.get("to", "head"))
        self._maintenance.ring(f"{_tenant(request)}{ORDERED}")
        return {"ordered": asked["what"]}

    async def schedule(self, request: Request, store: Store) -> object:
        """Tell when scheduled work ran and runs next."""
        return {name: {**_told(run)} for name, run in sorted((await runs(store)).items())}

    async def jobs(self, request: Request, store: Store) -> object:
        """List jobs."""
        return await listed(store, milliseconds(), everything=bool(request.query_params.get("all")))

    async def end_job(self, request: Request, store: Store) -> object:
        """Cancel a job."""
        asked: dict[str, Any] = await request.json()
        await cancel(store, asked["id"], milliseconds())
        return {"cancelled": asked["id"]}


def _tenant(request: Request) -> str:
    return request.query_params.get("tenant", DEFAULT)


def _told(run: Any) -> dict[str, Any]:
    names = ("state", "started", "ended", "next", "error")
    return {name: getattr(run, name) for name in names}
