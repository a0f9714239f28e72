"""What a call says now, and what its keys do.

Where a call stands is in the URL that Twilio asks (`dunning/call_menu.py` has the places and the keys). What a key
means is stored before it is said to be. The same form again finds it stored and gets the same words. A call whose case
was paid, held by somebody else or superseded meanwhile is silent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from channels.base import Receipt
from worker.app import App, Setup
from worker.dunning.answers import Answer
from worker.dunning.call_menu import KEYS, Here, Press, Scene, Turn, days_to_promise, greeting, pressed
from worker.dunning.effects import EFFECTS, limits
from worker.dunning.model import Case, Send, StepRun, parse_attempt_id
from worker.dunning.strategy import FOUND_BY_RULES
from worker.dunning.view import lines, local_today, usable
from worker.inbound import NotAcceptable, answer, receive
from worker.messages import prepare
from worker.providers import voice_for
from worker.render import CallScene
from worker.taking import calendar_of

#: Who a provider takes for a recorder that may be spoken to now, and for one that may not.
SPEAK_TO, SILENT_FOR = ("machine_end_beep", "machine_end_silence", "machine_end_other"), ("machine_start", "fax")
#: Holds that speak of the step after the call: a call that is a ladder's last step is not silenced by its end.
WAITS = FOUND_BY_RULES - {"below_minimum"}
#: How long an id of the provider's may be.
_LONGEST = 64


class NotNow(Exception):
    """Nothing is to be said in this call."""


@dataclass(frozen=True, slots=True)
class Script:
    """What to say, in which voice, and where the call then stands; None: hang up."""

    text: str
    language: str
    voice: str
    then: Here | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call that goes on, and the case it is about."""

    case: Case
    run: StepRun
    send: Send

    @property
    def spoken(self) -> set[str]:
        """What was said in it with keys."""
        return {said.kind for said in self.case.said if (said.source, said.attempt) == ("call", self.send.attempt)}

    def stands(self) -> bool:
        """Has it begun, and is what it is about still to be chased, but for what was said in it?"""
        begun = self.send.channel == "voice" and self.send.status in ("sending", "accepted", "uncertain")
        chased = self.run.anchor in {invoice.number for invoice in self.case.chased()}
        return begun and chased and not self.case.ended and not self._held()

    def _held(self) -> bool:
        """Is the case held, by more than what was said in this call, and the wait for what comes after it?"""
        spoken = self.spoken
        harmless = {effect.hold for kind, effect in EFFECTS.items() if kind in spoken} | WAITS
        return any(hold.invoice is None and hold.reason not in harmless for hold in self.case.holds)


def opened(app: App, attempt: str, answered_by: str, sid: str) -> Script:
    """How the call begins, `answered_by` whom the provider takes it for. Raises NotNow and redis errors."""
    call = _find(app, attempt)
    if not call.stands():
        raise NotNow
    if answered_by in (*SPEAK_TO, *SILENT_FOR):
        receive(app, Receipt(attempt, "machine", "twilio", answered_by, sid[:_LONGEST]))
        if answered_by in SILENT_FOR or _voicemail(app, call.case) == "hangup":
            raise NotNow
        message = prepare(app, call.case, call.run, "voice", call.send.attempt, app.clock.now()).message
        return _script(app, call, message.text, None)
    return _say(app, call, greeting(), None)


def key(app: App, attempt: str, here: Here, digit: str, sid: str) -> Script:
    """What follows that key, or "" for none, pressed there. Raises NotNow and redis errors."""
    call = _find(app, attempt)
    if not call.stands():
        return _over(app, call)
    turn = pressed(here, digit, scene_of(app, call.case, app.clock.now()))
    if turn.press is None:
        return _say(app, call, turn, None)
    said = _answer(turn.press, call, f"{sid[:_LONGEST] or attempt}:{turn.press.name}")
    try:
        heard = answer(app, call.case.id, said)
    except NotAcceptable:  # the last day to promise passed, or moved, in the middle of the call
        return _say(app, call, Turn(("no_date", "choices"), Here("choices")), None)
    after = _find(app, attempt)
    return _say(app, after, turn, said) if not heard.case.ended and after.stands() else _over(app, after)


def _answer(press: Press, call: Call, ref: str) -> Answer:
    return Answer(
        kind=press.kind,
        source="call",
        ref=ref,
        attempt=call.send.attempt,
        on=press.on,
        method=press.method,
        channels=press.channels,
    )


def _over(app: App, call: Call) -> Script:
    """Whoever pays while on the phone is thanked; of everything else nothing is said."""
    if call.spoken and call.case.ended and call.case.ended.reason in ("paid", "credited"):
        return _say(app, call, Turn(("paid",)), None)
    raise NotNow


def _find(app: App, attempt: str) -> Call:
    try:
        case_id, number = parse_attempt_id(attempt)
    except ValueError:
        raise NotNow from None
    stored = app.cases.load(case_id) if "-" in case_id else None
    found = stored.case.find_attempt(number) if stored else None
    if stored is None or found is None:
        raise NotNow
    return Call(stored.case, *found)


def scene_of(setup: Setup, case: Case, now: datetime) -> Scene:
    """What a call about that case can offer at `now`."""
    creditor, rules = setup.config.creditors[case.creditor], setup.config.strategies[case.strategy].answers
    days = days_to_promise(limits(case, rules, now), calendar_of(case))
    keys = creditor.voice.all_keys if creditor.voice else KEYS
    return Scene(keys, days, usable(case, "sms") and creditor.sms is not None)


def words(
    setup: Setup, case: Case, run: StepRun, now: datetime, says: Sequence[str], said: Answer | None = None
) -> str:
    """These sentences, as a call of that run says them at `now`; `said` is what was just answered.

    Raises WordingError, and LookupError for a step that left the ladder.
    """
    step, scene = setup.config.strategies[case.strategy].step(run.step), scene_of(setup, case, now)
    if step is None:
        raise LookupError("the ladder has no such step any more")
    today = local_today(case, now)
    spoken = CallScene(
        case=case,
        creditor=setup.config.creditors[case.creditor],
        lines=lines(case, step, run.anchor, today),
        today=today,
        keys=scene.keys,
        days=[(scene.keys[day.action], day.on) for day in scene.days],
        can_text=scene.can_text,
        answer=said,
    )
    return setup.wordings.call(says, spoken)


def _voicemail(app: App, case: Case) -> str:
    voice = app.config.creditors[case.creditor].voice
    return voice.voicemail if voice else "message"


def _say(app: App, call: Call, turn: Turn, said: Answer | None) -> Script:
    return _script(app, call, words(app, call.case, call.run, app.clock.now(), turn.says, said), turn.then)


def _script(app: App, call: Call, text: str, then: Here | None) -> Script:
    language = call.case.debtor.locale.replace("_", "-")
    voice, language = voice_for(app.config, call.case.creditor, call.send.provider, language)
    return Script(text, language, voice, then)
