"""Where Twilio reports what became of messages and calls, and hands over what people text back."""

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from channels.base import Receipt
from channels.twilio_receipts import call_receipt, machine_receipt, sms_receipt, sms_reply
from worker.app import App
from worker.dunning.model import parse_attempt_id
from worker.inbox import hand_in_receipt, hand_in_reply
from worker.messages import STATUS_DOOR
from worker.web.gates import TwilioGate, door, odd

#: An answer to an inbound SMS that texts nothing back.
_SILENCE = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
#: Longer than any attempt's id.
_LONGEST_ID = 200


def router(app: App) -> APIRouter:
    """The doors of receipts and inbound SMS."""
    doors = APIRouter()
    gate = TwilioGate(app)

    @door
    async def status(request: Request) -> Response:
        form = await gate.form(request, "twilio/status")
        read = call_receipt if "CallStatus" in form else sms_receipt
        return await _take(app, "twilio/status", read(request.path_params["attempt"], form))

    @door
    async def amd(request: Request) -> Response:
        form = await gate.form(request, "twilio/amd")
        return await _take(app, "twilio/amd", machine_receipt(request.path_params["attempt"], form))

    @door
    async def sms(request: Request) -> Response:
        reply = sms_reply(await gate.form(request, "twilio/sms"))
        if reply:
            await run_in_threadpool(hand_in_reply, app, reply)
        else:
            odd("twilio/sms")
        return Response(_SILENCE, media_type="text/xml")

    doors.add_route(STATUS_DOOR + "/{attempt}", status, ["POST"])
    doors.add_route("/webhooks/twilio/amd/{attempt}", amd, ["POST"])
    doors.add_route("/webhooks/twilio/sms", sms, ["POST"])
    return doors


async def _take(app: App, name: str, receipt: Receipt | None) -> Response:
    """204, also for what says nothing: a repetition would say no more."""
    if receipt and _is_attempt(receipt.attempt):
        await run_in_threadpool(hand_in_receipt, app, receipt)
    else:
        odd(name)
    return Response(status_code=204)


def _is_attempt(attempt: str) -> bool:
    try:
        parse_attempt_id(attempt)
    except ValueError:
        return False
    return len(attempt) <= _LONGEST_ID and attempt.isascii()
