"""What becomes of an SMS: its time, its status, and the receipts of it."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from channels.sandbox.journal import Exchange, Message
from channels.sandbox.outside import Outside
from channels.sandbox.provider import Answer, json_answer
from channels.sandbox.reactions import USUAL, Reaction
from channels.sandbox.twilio_resources import Form, Resource, error
from channels.sandbox.twilio_webhooks import call_back

#: What a failure's receipt says unless the reaction knows better.
CODES = {"undelivered": "30003", "failed": "30008"}
CANNOT_CANCEL = (30409, "This message cannot be canceled")


@dataclass(slots=True)
class SmsReceipts:
    """One message and what is posted of it to its StatusCallback. `made` is the resource, whose status follows."""

    outside: Outside
    message: Message
    made: Resource
    form: Form
    token: str
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _exchange: Exchange | None = None
    _reaction: Reaction = USUAL

    def begin(self, exchange: Exchange, reaction: Reaction) -> None:
        """Learn which receipts there shall be."""
        self._exchange, self._reaction = exchange, reaction

    def leave(self) -> None:
        """Its time has come: unless it was cancelled, it can no longer be."""
        with self._lock:
            if self.made["status"] == "scheduled":
                self.made.update(status="accepted", date_updated=self.outside.clock.rfc2822())

    def play(self) -> None:
        """Post the ordered receipts, or "sent" and "delivered"."""
        self.leave()
        if self.made["status"] == "canceled":
            return
        words = ("sent", "delivered") if self._reaction.receipts is None else self._reaction.receipts
        for word in words:
            fields = self._reaction.detailed(word, self._fields(word) | _reason(word))
            now, code = self.outside.clock.rfc2822(), fields.get("ErrorCode")
            self.made.update(status=word, error_code=code and int(code), date_sent=now, date_updated=now)
            self._post(word, fields)

    def change(self, exchange: Exchange, status: str) -> Answer:
        """Cancel it, which only a scheduled message allows."""
        with self._lock:
            if self.made["status"] != "scheduled":
                return error(400, *CANNOT_CANCEL)
            exchange.write(status, id=self.made["sid"], attempt=self.message.attempt)
            self.made.update(status=status, date_updated=self.outside.clock.rfc2822())
        if self._reaction.receipts != ():
            self.outside.background.soon(lambda: self._post(status, self._fields(status)))
        return json_answer(200, self.made)

    def _post(self, word: str, fields: Mapping[str, str]) -> None:
        exchange, url = self._exchange, self.form.get("StatusCallback")
        if exchange is None or not url or self.outside.closing.is_set():
            return
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


def _reason(word: str) -> dict[str, str]:
    return {"ErrorCode": CODES[word]} if word in CODES else {}
