"""Where SendGrid reports what became of emails, and hands over those that people write back."""

import hmac
import json

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from channels.mail_in import Unreadable
from channels.sendgrid_events import event_receipt
from channels.sendgrid_inbound import read_inbound_parse
from worker.app import App
from worker.inbox import hand_in_mail, hand_in_receipts, set_aside_mail
from worker.web.gates import Refused, SendgridGate, body_of, door, forged, odd

#: Bytes of a batch of events, and of an email with its attachments: SendGrid's own limit is 30 MB, and the form comes
#: on top; what is turned away here is lost.
LONGEST_BATCH, LONGEST_MAIL = 5_000_000, 32_000_000
_EVENTS, _INBOUND = "sendgrid/events", "sendgrid/inbound"


def router(app: App) -> APIRouter:
    """The doors of events and of inbound email."""
    doors = APIRouter()
    gate = SendgridGate(app)

    @door
    async def events(request: Request) -> Response:
        body = await gate.body(request, _EVENTS, LONGEST_BATCH)
        return await run_in_threadpool(_take_events, app, body)

    @door
    async def inbound(request: Request) -> Response:
        _admit(app.environment.inbound_secret, request.path_params["secret"])
        body = await body_of(request, LONGEST_MAIL)
        return await run_in_threadpool(_take_mail, app, body, request.headers.get("content-type", ""))

    doors.add_route("/webhooks/sendgrid/events", events, ["POST"])
    doors.add_route("/webhooks/sendgrid/inbound/{secret}", inbound, ["POST"])
    return doors


def _admit(secret: str, given: str) -> None:
    """Raises Refused: without a secret there is no door, and nobody guesses it by how long the answer takes."""
    if not secret:
        raise Refused(404)
    if not hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode()):
        raise forged(_INBOUND)


def _take_mail(app: App, body: bytes, content_type: str) -> Response:
    """204, also for what is no mail: it would come again for days as it is. It is kept, for a person."""
    try:
        found = read_inbound_parse(body, content_type)
    except Unreadable as why:
        set_aside_mail(app, body, str(why))
        odd(_INBOUND)
    else:
        hand_in_mail(app, found)
    return Response(status_code=204)


def _take_events(app: App, body: bytes) -> Response:
    """204; 400 for what is no batch, so that it comes again while somebody looks into it."""
    try:
        batch = json.loads(body)
    except (ValueError, RecursionError):
        batch = None
    if not isinstance(batch, list):
        odd(_EVENTS)
        raise Refused(400)
    events = [event for event in batch if isinstance(event, dict)]
    if len(events) < len(batch):
        odd(_EVENTS, len(batch) - len(events))
    receipts = [receipt for event in events if (receipt := event_receipt(event))]
    hand_in_receipts(app, receipts)
    return Response(status_code=204)
