"""Calls through Twilio: the call asks us what to say, or bears its words with it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from channels.base import Accepted, Found, Message, Rejected, Sought, Uncertain
from channels.outcome import writing
from channels.settings import AGAIN, TwilioSettings
from channels.twilio_receipts import call_receipt

if TYPE_CHECKING:  # the SDK takes its time to import; only who sends shall pay it
    from channels.twilio import Account

#: Characters of inline TwiML that Twilio takes (32018).
LONGEST = 4000
EVENTS = ["initiated", "ringing", "answered", "completed"]


class TwilioVoice:
    """Calls `message.to`; Twilio fetches what to say at `callback_url`, or speaks `text` once where there is none."""

    class Settings(TwilioSettings):
        """`ring_timeout`: seconds the phone rings; longer reaches the voicemail. `voice` defaults by language.

        `machine_detection` as Twilio names it; none by default, since it costs and delays the first word.
        """

        ring_timeout: int = Field(default=25, ge=10, le=60)
        voice: str = ""
        machine_detection: Literal["Enable", "DetectMessageEnd"] | None = None

    channels: ClassVar[tuple[str, ...]] = ("voice",)
    finds, proves = True, False

    def __init__(self, account: "Account", settings: Settings) -> None:
        self._account = account
        self._settings = settings
        self.real = account.real
        self.bound = account.bound
        self.reach = account.reach

    @staticmethod
    def required(settings: Settings) -> list[str]:
        """The variables it cannot work without."""
        return settings.required()

    @classmethod
    def from_settings(cls, settings: Settings, environ: Mapping[str, str]) -> "TwilioVoice":
        """Raises ConfigurationError for a missing credential or a malformed base URL."""
        from channels.twilio import Account

        return cls(Account(settings, environ), settings)

    def send(self, message: Message) -> Accepted:
        """Place the call; accepted under its "CA..." id."""
        with writing():
            request = {**self._base(message), **self._words(message), **_report(message)}
        return self._account.create(lambda client: client.calls.create(**request))

    def find(self, sought: Sought) -> Found | None:
        """By who called whom and when: a list tells nothing else of a call.

        Raises Uncertain where one of another time is not accounted for: it is this one if a clock was wrong.
        """
        from channels.twilio import LISTED

        listed = self._account.listed(
            lambda client: client.calls.list(to=sought.to, from_=sought.sender, limit=LISTED), sought
        )
        ours = next((each for each in listed if self._account.in_time(each, sought)), None)
        if ours is None and listed:
            raise Uncertain("clocks", "a call of another time may be this one")
        if ours is None:
            return None
        form = {"CallStatus": str(ours.status), "CallSid": ours.sid or ""}
        return Found(ours.sid or "", call_receipt(sought.attempt, form))

    def recall(self, provider_id: str) -> bool:
        """Cancel a call that waits or rings; one that was answered goes on."""
        return self._account.cancelled(
            lambda client: client.calls(provider_id).update(status="canceled"),
            lambda client: client.calls(provider_id).fetch(),
        )

    def _base(self, message: Message) -> dict[str, Any]:
        base = {"to": message.to, "from_": message.sender, "timeout": self._settings.ring_timeout}
        detection = self._settings.machine_detection
        return {**base, "machine_detection": detection} if detection else base

    def _words(self, message: Message) -> dict[str, Any]:
        if message.callback_url:
            return {"url": message.callback_url + AGAIN, "method": "POST"}
        from channels.twiml import neutral_twiml

        twiml = neutral_twiml(message.text, message.language, self._settings.voice)
        if len(twiml) > LONGEST:
            raise Rejected("content", "32018", "the words of the call are too long")
        return {"twiml": twiml}


def _report(message: Message) -> dict[str, Any]:
    if not message.status_url:
        return {}
    return {
        "status_callback": message.status_url + AGAIN,
        "status_callback_method": "POST",
        "status_callback_event": EVENTS,
    }
