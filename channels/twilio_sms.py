"""SMS through Twilio."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from channels.base import Accepted, Found, Message, Sought
from channels.settings import AGAIN, MESSAGING_SERVICE, TwilioSettings
from channels.twilio_receipts import sms_receipt

if TYPE_CHECKING:  # the SDK takes its time to import; only who sends shall pay it
    from channels.twilio import Account


class TwilioSms:
    """Sends `message.text` from `message.sender`: a number, a name, or a messaging service ("MG...")."""

    class Settings(TwilioSettings):
        """`validity_period`: seconds after which Twilio drops a message it still queues.

        Twilio's own ten hours would carry an afternoon's reminder into the night, or past a payment.
        """

        validity_period: int = Field(default=3600, ge=60, le=36000)

    channels: ClassVar[tuple[str, ...]] = ("sms",)
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
    def from_settings(cls, settings: Settings, environ: Mapping[str, str]) -> "TwilioSms":
        """Raises ConfigurationError for a missing credential or a malformed base URL."""
        from channels.twilio import Account

        return cls(Account(settings, environ), settings)

    def send(self, message: Message) -> Accepted:
        """Create the message; accepted under its "SM..." id."""
        request = self._request(message)
        return self._account.create(lambda client: client.messages.create(**request))

    def find(self, sought: Sought) -> Found | None:
        """By its reference, which ends every SMS: its other letters may be rewritten (Smart Encoding).

        That tells it whatever the clocks say. No `DateSent`: that filter goes by days, and a message that still waits
        has none.
        """
        from channels.twilio import LISTED

        pool = MESSAGING_SERVICE.fullmatch(sought.sender)  # such a message bears whichever number of it was taken
        filters = {"to": sought.to, "limit": LISTED, **({} if pool else {"from_": sought.sender})}
        listed = self._account.listed(lambda client: client.messages.list(**filters), sought)
        ours = next((each for each in reversed(listed) if sought.reference in (getattr(each, "body", "") or "")), None)
        if ours is None:
            return None
        code = {"ErrorCode": str(error)} if (error := getattr(ours, "error_code", None)) else {}
        form = {"MessageStatus": str(ours.status), "MessageSid": ours.sid or "", **code}
        return Found(ours.sid or "", sms_receipt(sought.attempt, form))

    def recall(self, provider_id: str) -> bool:
        """Cancel a message that was scheduled and has not left."""
        return self._account.cancelled(
            lambda client: client.messages(provider_id).update(status="canceled"),
            lambda client: client.messages(provider_id).fetch(),
        )

    def _request(self, message: Message) -> dict[str, Any]:
        sender = "messaging_service_sid" if MESSAGING_SERVICE.fullmatch(message.sender) else "from_"
        report = {"status_callback": message.status_url + AGAIN} if message.status_url else {}
        return {
            "to": message.to,
            sender: message.sender,
            "body": message.text,
            "validity_period": self._settings.validity_period,
            **report,
        }
