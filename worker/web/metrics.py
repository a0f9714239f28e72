"""How it is doing, for a Prometheus that is inside."""

import redis
import structlog
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from worker.app import App
from worker.metrics import exposition

#: What a proxy adds to what comes from outside.
_PROXIED = ("x-forwarded-for", "forwarded")

_log = structlog.get_logger("relance.web")


def router(app: App) -> APIRouter:
    """One door, without a key: it is for those who reach this process itself."""
    doors = APIRouter()

    @doors.get("/metrics")
    def metrics(request: Request) -> Response:
        """Everything that is measured; 503 when the store does not answer. What came through a proxy finds no door."""
        if any(name in request.headers for name in _PROXIED):
            return Response(status_code=404)
        try:
            return Response(exposition(app), media_type=CONTENT_TYPE_PLAIN_0_0_4)
        except redis.RedisError as error:
            _log.warning("store.away", error=type(error).__name__)
            return Response(status_code=503)

    return doors
