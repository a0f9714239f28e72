"""What a call says, and its keys: TwiML around what `worker/call.py` has to say.

The same form again gets the same document.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import redis
import structlog
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from channels.settings import AGAIN
from channels.twiml import asking_twiml, hangup_twiml, neutral_twiml
from worker.app import App
from worker.call import NotNow, Script, key, opened
from worker.dunning.call_menu import Here
from worker.logs import place_of
from worker.messages import VOICE_DOOR
from worker.web.gates import TwilioGate, door

_log = structlog.get_logger("relance.web")
_NAME, _XML = "twilio/voice", "text/xml"
_SMALL = re.compile(r"[0-9]")


def router(app: App) -> APIRouter:
    """Where a provider fetches what a call says, and posts what was pressed."""
    doors = APIRouter()
    gate = TwilioGate(app)

    @door
    async def voice(request: Request) -> Response:
        form, attempt = await gate.form(request, _NAME), request.path_params["attempt"]
        answered_by, sid = form.get("AnsweredBy", ""), form.get("CallSid", "")
        return await run_in_threadpool(_document, app, attempt, lambda: opened(app, attempt, answered_by, sid))

    @door
    async def pressed(request: Request) -> Response:
        form, attempt = await gate.form(request, _NAME), request.path_params["attempt"]
        query, digit, sid = dict(request.query_params), form.get("Digits", ""), form.get("CallSid", "")
        return await run_in_threadpool(_document, app, attempt, lambda: key(app, attempt, _here(query), digit, sid))

    doors.add_route(VOICE_DOOR + "/{attempt}", voice, ["POST"])
    doors.add_route(VOICE_DOOR + "/{attempt}/key", pressed, ["POST"])
    return doors


def _document(app: App, attempt: str, script: Callable[[], Script]) -> Response:
    """The call's document. A call that has nothing to say any more hangs up in silence."""
    try:
        return Response(_twiml(app, attempt, script()), media_type=_XML)
    except redis.RedisError:
        raise
    except NotNow:
        _log.info("call.silenced", attempt=attempt)
    except Exception as error:  # a debtor must not hear the provider read an error out
        _log.error("render.failed", attempt=attempt, place=place_of(error), error=type(error).__name__)
    return Response(hangup_twiml(), media_type=_XML)


def _twiml(app: App, attempt: str, script: Script) -> str:
    if script.then is None:
        return neutral_twiml(script.text, script.language, script.voice)
    here = urlencode({"at": script.then.at, "again": script.then.again, "changes": script.then.changes})
    action = f"{app.environment.public_url}{VOICE_DOOR}/{attempt}/key?{here}{AGAIN}"
    return asking_twiml(script.text, action, script.language, script.voice)


def _here(query: Mapping[str, str]) -> Here:
    """Where the call stands, from a URL that we wrote and Twilio signed. Raises NotNow for any other."""
    again, changes = query.get("again", "0"), query.get("changes", "0")
    try:
        if _SMALL.fullmatch(again) and _SMALL.fullmatch(changes):
            return Here(query.get("at", ""), int(again), int(changes))  # type: ignore[arg-type]  # Here checks the place
    except ValueError:
        pass
    raise NotNow
