"""SMS through Twilio."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from channels.base import Accepted, Message
from channels.settings import AGAIN, MESSAGING_SERVICE, TwilioSettings

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

    def __init__(self, account: "Account", settings: Settings) -> None:
        self._account = account
        self._settings = settings
        self.real = account.real
        self.bound = account.bound

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
