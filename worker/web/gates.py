"""Who may come in: what a signed request holds, or the answer that turns it away.

A door is an endpoint of Starlette's under `door`, which gives the answers that all have in common; it asks its gate for
what the request holds before it does anything.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps

import redis
import structlog
from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from channels.base import ConfigurationError
from worker.app import App
from worker.logs import place_of
from worker.web.signatures import form_of, is_public_key, signed_by_sendgrid, signed_by_twilio

#: Bytes of a form: one of Twilio's has a few thousand.
LONGEST_FORM = 1_000_000
#: Seconds that a sender may take for a body.
PATIENCE = 20.0
_FORM = "application/x-www-form-urlencoded"

Endpoint = Callable[[Request], Awaitable[Response]]
_log = structlog.get_logger("relance.web")


class Refused(Exception):
    """The request is turned away with this status, and an empty body."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


def door(endpoint: Endpoint) -> Endpoint:
    """Answer as every door does: turned away; 503 when store or queue cannot take it, so that the sender repeats."""

    @wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Refused as refused:
            return Response(status_code=refused.status)
        except ClientDisconnect:
            return Response(status_code=400)
        except redis.RedisError as error:
            _log.warning("store.away", error=type(error).__name__)
            return Response(status_code=503)
        except Exception as error:
            _log.error("door.failed", door=_name(request), place=place_of(error), error=type(error).__name__)
            return Response(status_code=500)

    return answer


def _name(request: Request) -> str:
    """The two words after /webhooks; what follows may be a secret."""
    return "/".join(request.scope["path"].split("/")[2:4])


def forged(name: str) -> Refused:
    """Tell of a request that was not signed by whom it should be, and turn it away."""
    _log.warning("webhook.forged", door=name)
    return Refused(403)


def odd(name: str, count: int = 1) -> None:
    """Tell of so many things in a signed request that were not understood; nothing of them is said."""
    _log.warning("webhook.odd", door=name, count=count)


async def body_of(request: Request, most: int) -> bytes:
    """The raw body. Raises Refused: 413 for more than so many bytes, 408 for one that does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise Refused(413)
    except TimeoutError:
        raise Refused(408) from None
    return bytes(body)


class TwilioGate:
    """Lets in what one of our accounts signed, by its own token or that token's predecessor.

    Signatures are computed over PUBLIC_URL and the path that was asked for, never over Host or X-Forwarded-*; without
    PUBLIC_URL, or without any token, there is no door.
    """

    def __init__(self, app: App) -> None:
        self._public = app.environment.public_url
        self._secrets = app.providers.twilio_secrets()

    async def form(self, request: Request, name: str) -> dict[str, str]:
        """The form, a value a field; empty where the body is signed and none. `name` is the door's, for the log.

        Raises Refused: 404, 413, 403.
        """
        if not (self._public and self._secrets):
            raise Refused(404)
        body = await body_of(request, LONGEST_FORM)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        content = form_of(body) if kind == _FORM else body
        signature = request.headers.get("x-twilio-signature", "")
        settings = request.headers.get("x-twilio-webhooks-signature-settings", "")
        if not signed_by_twilio(self._secrets, self._url(request), content, signature, settings):
            raise forged(name)
        return {} if isinstance(content, bytes) else dict(content)

    def _url(self, request: Request) -> str:
        path = request.scope["raw_path"].decode("ascii", "replace")
        query = request.scope["query_string"].decode("ascii", "replace")
        return f"{self._public}{path}?{query}" if query else f"{self._public}{path}"


class SendgridGate:
    """Lets in what SendGrid signed, not long ago, with the key that SENDGRID_WEBHOOK_PUBLIC_KEY belongs to.

    Raises ConfigurationError for a key that is none.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._key = app.environment.event_key
        if self._key and not is_public_key(self._key):
            raise ConfigurationError("SENDGRID_WEBHOOK_PUBLIC_KEY: expected the key of SendGrid's signed event webhook")

    async def body(self, request: Request, name: str, most: int) -> bytes:
        """The raw body. Raises Refused: 404, 413, 403."""
        if not self._key:
            raise Refused(404)
        body = await body_of(request, most)
        signature = request.headers.get("x-twilio-email-event-webhook-signature", "")
        timestamp = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
        if not signed_by_sendgrid(self._key, body, signature, timestamp, self._app.clock.real()):
            raise forged(name)
        return body
