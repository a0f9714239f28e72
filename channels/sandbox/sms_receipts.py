"""What becomes of an SMS: its status, and the receipts of it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from channels.sandbox.journal import Exchange
from channels.sandbox.outside import Outside
from channels.sandbox.reactions import Reaction
from channels.sandbox.twilio_resources import Form, Resource
from channels.sandbox.twilio_webhooks import call_back

#: What a failure's receipt says unless the reaction knows better.
CODES = {"undelivered": "30003", "failed": "30008"}


@dataclass(frozen=True, slots=True)
class SmsReceipts:
    """The receipts of one message, posted to its StatusCallback. `made` is the resource, whose status follows."""

    outside: Outside
    made: Resource
    form: Form
    token: str

    def play(self, exchange: Exchange, reaction: Reaction) -> None:
        """Post the ordered receipts, or "sent" and "delivered"."""
        words = ("sent", "delivered") if reaction.receipts is None else reaction.receipts
        for word in words:
            if self.outside.closing.is_set():
                return
            self._post(exchange, word, reaction)

    def _post(self, exchange: Exchange, word: str, reaction: Reaction) -> None:
        fields = reaction.detailed(word, self._fields(word) | ({"ErrorCode": CODES[word]} if word in CODES else {}))
        self.made.update(status=word, error_code=int(fields["ErrorCode"]) if "ErrorCode" in fields else None)
        self.made["date_sent"] = self.made["date_updated"] = format_datetime(datetime.now(UTC))
        url = self.form["StatusCallback"]
        line = {"what": "receipt", "id": self.made["sid"], "url": url, "said": word}
        call_back(
            self.outside.poster,
            url,
            self.token,
            fields,
            told=lambda number, reply: exchange.write("posted", **line, number=number, **reply.fields),
        )

    def _fields(self, word: str) -> dict[str, str]:
        sid, service = self.made["sid"], self.form.get("MessagingServiceSid")
        fields = {"MessageSid": sid, "SmsSid": sid, "MessageStatus": word, "SmsStatus": word}
        fields |= {"To": self.form["To"], "AccountSid": self.made["account_sid"]}
        fields |= {"ApiVersion": self.made["api_version"]}
        sender = {"From": self.form["From"]} if self.form.get("From") else {}
        return {**fields, **sender, **({"MessagingServiceSid": service} if service else {})}
