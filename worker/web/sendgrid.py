"""Where SendGrid reports what became of emails, and hands over those that people write back."""

import json

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from channels.sendgrid_events import event_receipt
from worker.app import App
from worker.inbox import hand_in_receipts
from worker.web.gates import Refused, SendgridGate, door, odd

#: Bytes of a batch of events, and of an email with its attachments (SendGrid's own limit).
LONGEST_BATCH, LONGEST_MAIL = 5_000_000, 30_000_000
_EVENTS = "sendgrid/events"


def router(app: App) -> APIRouter:
    """The doors of events and of inbound email."""
    doors = APIRouter()
    gate = SendgridGate(app)

    @door
    async def events(request: Request) -> Response:
        body = await gate.body(request, _EVENTS, LONGEST_BATCH)
        return await run_in_threadpool(_take_events, app, body)

    doors.add_route("/webhooks/sendgrid/events", events, ["POST"])
    return doors


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
