"""The billing system's doors, for those who do not speak dramatiq: the same jobs over HTTP, and a case to look at.

A job is committed before it is answered: once a payment was answered with 2xx, no message about it begins. A key opens
the doors of one creditor; whatever belongs to another is not there.
"""

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from worker.app import App
from worker.cases import Conflict
from worker.intake import Taken, take
from worker.jobs import BadJob
from worker.jobs.parsing import LARGEST
from worker.logs import place_of
from worker.store import away
from worker.web import api
from worker.web.api import DOORS, Door
from worker.web.case import view
from worker.web.rate import Rates
from worker.web.refusal import Refusal

#: Seconds a request may take to arrive whole.
PATIENCE = 20.0
#: What a job says that is not in the body: the door, the key and the header say it.
_ELSEWHERE = ("type", "version", "creditor", "job_id")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}")

_log = structlog.get_logger("relance.web")


def router(app: App) -> APIRouter:
    """Where upstream sends jobs and looks at cases, and the pages that say how."""
    doors = APIRouter()
    upstream = Upstream(app)
    for door in DOORS:
        doors.add_api_route(door.path, _endpoint(upstream, door), methods=["POST"], response_model=None)
    doors.add_api_route(api.CASE, _looking(upstream), methods=["GET"], response_model=None)
    doors.add_api_route("/openapi.json", _document, methods=["GET"], response_model=None)
    doors.add_api_route("/docs", _page, methods=["GET"], response_model=None)
    doors.routes.append(Route("/v1/{rest:path}", _elsewhere))
    return doors


class Upstream:
    """What the doors do, step by step. Each raises Refusal."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._rates = Rates(app.client)
        self._owners = [(key, name) for name, creditor in app.config.creditors.items() for key in creditor.api_keys]

    def creditor(self, request: Request) -> str:
        """Whose key the request bears. Every key is compared, so that the time it takes tells nothing.

        Where nobody has a key there is no door.
        """
        if not self._owners:
            raise Refusal(404, "there is no such door: no creditor has an API key")
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        asked = "sha256:" + hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found = [name for known, name in self._owners if hmac.compare_digest(known, asked)]
        if scheme.lower() != "bearer" or not found:
            _log.warning("door.denied", door=_path(request))
            raise Refusal(401, "no API key, or none that is known", headers={"WWW-Authenticate": "Bearer"})
        return found[0]

    def admit(self, creditor: str) -> None:
        """Is there room for one more request?"""
        wait = self._rates.wait(creditor, self._app.config.creditors[creditor].api_rate)
        if wait:
            raise Refusal(429, "too many requests", headers={"Retry-After": str(wait)})

    def demand_case(self, creditor: str, case: str) -> None:
        """Is there such a case of that creditor?"""
        if not case.startswith(f"{creditor}-") or self._app.cases.load(case) is None:
            raise Refusal(404, "there is no such case")

    def take(self, door: Door, creditor: str, job_id: str, fields: dict[str, object]) -> Taken:
        """Take the job in."""
        payload = {**fields, "type": door.kind, "version": 1, "creditor": creditor, "job_id": job_id}
        try:
            taken = take(self._app, payload, enqueued_at=self._app.clock.real())
        except BadJob as error:
            raise Refusal(422, "the job cannot be taken", error.problems) from None
        if taken.other:
            raise Refusal(422, "Idempotency-Key: it was used before, with another request")
        return taken

    def look(self, creditor: str, case: str) -> str:
        """The case, as JSON."""
        seen = self._app.cases.see(case) if case.startswith(f"{creditor}-") else None
        if seen is None:
            raise Refusal(404, "there is no such case")
        return view(self._app, seen).model_dump_json()


def _endpoint(upstream: Upstream, door: Door) -> Callable[[Request], Awaitable[Response]]:
    async def post(request: Request) -> Response:
        async def work() -> Response:
            creditor = upstream.creditor(request)
            _demand_json(request)
            job_id = _job_id(request)
            await run_in_threadpool(upstream.admit, creditor)
            fields = _fields(await _body(request), door)
            if case := request.path_params.get("case"):
                await run_in_threadpool(upstream.demand_case, creditor, case)
                fields["case"] = case
            taken = await run_in_threadpool(upstream.take, door, creditor, job_id, fields)
            found = asdict(taken)
            del found["other"]
            return JSONResponse(found)

        return await _answered(request, work)

    return post


def _looking(upstream: Upstream) -> Callable[[Request], Awaitable[Response]]:
    async def get(request: Request) -> Response:
        async def work() -> Response:
            creditor = upstream.creditor(request)
            await run_in_threadpool(upstream.admit, creditor)
            found = await run_in_threadpool(upstream.look, creditor, request.path_params["case"])
            return Response(found, media_type="application/json", headers={"Cache-Control": "no-store"})

        return await _answered(request, work)

    return get


async def _answered(request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
    """What the work answers, or why not, as a problem."""
    try:
        return await work()
    except Refusal as refusal:
        _log.info("door.refused", door=_path(request), status=refusal.status)
        return refusal.response()
    except ClientDisconnect:
        return Refusal(400, "the request did not come whole").response()
    except Exception as error:
        if away(error) or isinstance(error, Conflict):
            _log.warning("store.away", error=type(error).__name__)
            return Refusal(503, "the store does not answer", headers={"Retry-After": "2"}).response()
        _log.error("door.failed", door=_path(request), place=place_of(error), error=type(error).__name__)
        return Refusal(500, "a fault of ours; it is in the log").response()


def _path(request: Request) -> str:
    """The door, without what a caller wrote into its path."""
    return str(getattr(request.scope.get("route"), "path", ""))


# ---- what a request says


def _demand_json(request: Request) -> None:
    kind, _, parameters = request.headers.get("Content-Type", "").partition(";")
    charset = re.sub(r'[\s"]', "", parameters).lower()
    if kind.strip().lower() != "application/json" or charset not in ("", "charset=utf-8"):
        raise Refusal(415, "Content-Type: expected application/json, in UTF-8", headers={"Accept": "application/json"})


def _job_id(request: Request) -> str:
    """The id of the job; the draft of the header wants it in quotes, most clients leave them out."""
    values = request.headers.getlist("Idempotency-Key")
    key = values[0].strip() if len(values) == 1 else ""
    key = key[1:-1] if len(key) > 1 and key[0] == key[-1] == '"' else key
    if not _KEY.fullmatch(key):
        raise Refusal(400, f"Idempotency-Key: expected one, of the form {_KEY.pattern}")
    return key


async def _body(request: Request) -> bytes:
    """All of it, bounded in size and time, however it is sent."""
    length = request.headers.get("Content-Length", "0")
    if length.isdecimal() and int(length[:20]) > LARGEST:
        raise _too_large()
    chunks, size = list[bytes](), 0
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                chunks.append(chunk)
                size += len(chunk)
                if size > LARGEST:
                    raise _too_large()
    except TimeoutError:
        raise Refusal(408, "the request did not come whole in time", headers={"Connection": "close"}) from None
    return b"".join(chunks)


def _too_large() -> Refusal:
    return Refusal(413, f"larger than {LARGEST} bytes", headers={"Connection": "close"})


def _fields(body: bytes, door: Door) -> dict[str, object]:
    """The job's own fields."""
    try:
        found = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Refusal(400, "the body is not UTF-8") from None
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Refusal(422, "the job cannot be taken", ["not an object"])
    said = [f"{name}: not in the body: the door, the key or a header says it" for name in _ELSEWHERE if name in found]
    said += [f"{name}: not in the body: the path names the case, all of it" for name in door.in_path if name in found]
    if said:
        raise Refusal(422, "the job cannot be taken", said)
    return found


# ---- the pages, and what is nowhere


async def _document() -> Response:
    return JSONResponse(api.document())


async def _page() -> Response:
    return HTMLResponse(api.page(), headers={"Content-Security-Policy": api.POLICY})


class _Elsewhere:
    """Below /v1, and no door of ours; or one, asked in a way it does not know."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = api.methods(scope["path"])
        if allowed:
            refusal = Refusal(405, f"expected {' or '.join(allowed)}", headers={"Allow": ", ".join(allowed)})
        else:
            refusal = Refusal(404, "there is no such door (see /docs)")
        await refusal.response()(scope, receive, send)


_elsewhere = _Elsewhere()
