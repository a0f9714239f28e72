"""Are we there, and can we do our work?"""

from collections.abc import Callable
from datetime import timedelta

import redis
import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from worker.app import App

#: How long (real time) a case may wait past its day before something must be wrong with the schedulers. A paused one
#: does not wait: it is looked at again and again.
STALE = timedelta(minutes=10)

_log = structlog.get_logger("relance.web")


def router(app: App) -> APIRouter:
    """What supervisors and load balancers ask."""
    doors = APIRouter()

    @doors.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @doors.get("/readyz")
    def readyz() -> JSONResponse:
        """Store and queue answer, and cases are looked at when their day comes; 503 names what is wrong."""
        checks = {"store": app.client.ping, "queue": app.broker.client.ping, "agenda": lambda: not _stale(app)}
        wrong = [name for name, check in checks.items() if not _holds(check)]
        return JSONResponse(
            {"status": "not ready", "wrong": wrong} if wrong else {"status": "ok"}, 503 if wrong else 200
        )

    return doors


def _holds(check: Callable[[], object]) -> bool:
    try:
        return bool(check())
    except redis.RedisError as error:
        _log.warning("store.away", error=type(error).__name__)
        return False


def _stale(app: App) -> bool:
    """Is a case overdue by more than ten minutes, in a rehearsal by what passes there in ten real ones?"""
    now = app.clock.now()
    due = min(app.cases.next_due(app.config.creditors).values(), default=now)
    return now - due > app.clock.ladder_after(STALE) - now
