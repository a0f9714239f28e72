"""What a call says.

Signatures are computed over PUBLIC_URL, never over Host or X-Forwarded-*; without it, or a token, there is no door.
"""

import structlog
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from twilio.request_validator import RequestValidator

from channels.twiml import hangup_twiml, neutral_twiml
from worker.app import App
from worker.dunning.model import Case, Send, StepRun, parse_attempt_id
from worker.logs import place_of
from worker.messages import VOICE_DOOR, prepare
from worker.providers import voice_of
from worker.store import AWAY

_log = structlog.get_logger("relance.web")
_XML = "text/xml"


def router(app: App) -> APIRouter:
    """Where a provider fetches what a call says."""
    doors = APIRouter()

    @doors.post(VOICE_DOOR + "/{attempt}")
    async def voice(attempt: str, request: Request) -> Response:
        """What the call says: the neutral message, or nothing when the call should not have been placed any more."""
        form = {key: str(value) for key, value in (await request.form()).items()}
        signature = request.headers.get("X-Twilio-Signature", "")
        return await run_in_threadpool(_voice, app, attempt, form, signature)

    return doors


def _voice(app: App, attempt: str, form: dict[str, str], signature: str) -> Response:
    tokens = app.providers.twilio_secrets()
    if not (tokens and app.environment.public_url):
        return Response(status_code=404)
    url = f"{app.environment.public_url}{VOICE_DOOR}/{attempt}"
    if not any(RequestValidator(token).validate(url, form, signature) for token in tokens):
        _log.warning("webhook.forged", door="twilio/voice")
        return Response(status_code=403)
    try:
        return Response(_script(app, attempt), media_type=_XML)
    except AWAY as error:
        _log.warning("store.away", error=type(error).__name__)
        return Response(status_code=503)


def _script(app: App, attempt: str) -> str:
    """The call's document. A call whose case was paid, held or superseded meanwhile hangs up in silence."""
    try:
        return _words(app, attempt)
    except AWAY:
        raise
    except _NotNow:
        _log.info("call.silenced", attempt=attempt)
    except Exception as error:  # a debtor must not hear the provider read an error out
        _log.error("render.failed", attempt=attempt, place=place_of(error), error=type(error).__name__)
    return hangup_twiml()


class _NotNow(Exception):
    """Nothing is to be said in this call."""


def _words(app: App, attempt: str) -> str:
    try:
        case_id, number = parse_attempt_id(attempt)
    except ValueError:
        raise _NotNow from None
    seen = app.cases.see(case_id) if "-" in case_id else None
    found = seen.case.find_attempt(number) if seen else None
    if seen is None or found is None or not _stands(seen.case, *found):
        raise _NotNow
    message = prepare(app, seen.case, found[0], "voice", number, app.clock.now()).message
    return neutral_twiml(message.text, message.language, voice_of(app.config, found[1].provider))


def _stands(case: Case, run: StepRun, send: Send) -> bool:
    """Is it a call, has it begun, and is what it is about still to be chased?"""
    begun = send.channel == "voice" and send.status in ("sending", "accepted", "uncertain")
    return begun and not case.ended and case.case_hold() is None and run.anchor in {i.number for i in case.chased()}
