"""A call, from its first ring to the word that it is over."""

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urldefrag, urljoin

from channels.sandbox.journal import Exchange, Message
from channels.sandbox.outside import Outside
from channels.sandbox.poster import Reply
from channels.sandbox.provider import Answer, json_answer
from channels.sandbox.reactions import NOBODY, USUAL, Reaction
from channels.sandbox.twilio_resources import Form, Resource, error
from channels.sandbox.twilio_webhooks import call_back
from channels.sandbox.twiml import Next, Turn, TwimlError, walk

#: Documents of one call; a menu that leads nowhere shall end some time.
MOST_DOCUMENTS = 60
OVER = (21220, "Call is not in-progress. Cannot redirect.")
#: What SIP says of a call's end: a call in one of these states is over.
SIP = {"completed": "200", "busy": "486", "no-answer": "480", "failed": "404", "canceled": "487"}
DETECTED_AFTER = "2500"


#: What to post of an event: its word and its fields.
Receipt = tuple[str, Mapping[str, str]]


@dataclass(slots=True)
class Call:
    """One call. `made` is the resource, whose status follows; `events` are the StatusCallbackEvents asked for.

    It is gone through by one thread and may be ended by another: each step is taken under the lock, and none after the
    end.
    """

    outside: Outside
    message: Message
    made: Resource
    form: Form
    events: tuple[str, ...]
    token: str
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _exchange: Exchange | None = None
    _reaction: Reaction = USUAL
    _keys: list[str] = field(default_factory=list)
    _kept: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _numbered: int = 0
    _documents: int = 0
    _seconds: float = 0.0

    def begin(self, exchange: Exchange, reaction: Reaction) -> None:
        """Learn who will pick up, and which receipts there shall be."""
        self._exchange, self._reaction, self._keys = exchange, reaction, list(reaction.keys)

    def play(self) -> None:
        """Ring, talk if somebody picks up, and post the receipts: as things happen, or all at the end as ordered."""
        if not (self._step("initiated", "initiated") and self._step("ringing", "ringing")):
            return
        if self._reaction.answer in NOBODY:
            self._end(self._reaction.answer)
        elif self._step("answered", "in-progress"):
            self._detect_later()
            self._talk()
            self._end("completed")

    def change(self, exchange: Exchange, status: str) -> Answer:
        """End it: "canceled" while nobody has picked up, "completed" at any time. What is over is Twilio's 21220.

        As Twilio has it, "canceled" leaves a call in progress as it is.
        """
        with self._lock:
            state = self.made["status"]
            if state in SIP:
                return error(400, *OVER)
            if state == "in-progress" and status == "canceled":
                return json_answer(200, self.made)
            last = "completed" if state == "in-progress" else "canceled"
            exchange.write("ended" if last == "completed" else last, id=self.made["sid"], attempt=self.message.attempt)
            receipts = self._last(last)
        self.outside.background.soon(lambda: self._post_all(receipts))
        return json_answer(200, self.made)

    # Receipts.

    def _step(self, event: str, status: str) -> bool:
        with self._lock:
            if self.made["status"] in SIP:
                return False
            receipts = self._move(event, status)
        self._post_all(receipts)
        return True

    def _end(self, status: str) -> None:
        with self._lock:
            receipts = [] if self.made["status"] in SIP else self._last(status)
        self._post_all(receipts)

    def _last(self, status: str) -> list[Receipt]:
        """Come to the end; what is to be posted of it, and of what was kept back until then."""
        seconds = 0 if status in NOBODY else max(1, round(self._seconds))
        length = {"CallDuration": str(seconds), "Duration": str(math.ceil(seconds / 60))}
        asked = self._detected() if status not in NOBODY else {}
        self.made.update(duration=str(seconds), end_time=self.outside.clock.rfc2822())
        receipts = self._move("completed", status, {**length, "SipResponseCode": SIP[status], **asked})
        return receipts + [(word, self._kept[word]) for word in self._reaction.receipts or () if word in self._kept]

    def _move(self, event: str, status: str, more: Mapping[str, str] | None = None) -> list[Receipt]:
        """Take on a status; what is to be posted of it at once."""
        now = self.outside.clock.rfc2822()
        self.made.update(status="queued" if status == "initiated" else status, date_updated=now)
        if not self.form.get("StatusCallback") or event not in self.events:
            return []
        fields = {
            **self._fields(status),
            "Timestamp": now,
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._numbered),
            **(more or {}),
        }
        self._numbered += 1
        if self._reaction.receipts is None:
            return [(event, fields)]
        self._kept[event] = fields
        return []

    def _post_all(self, receipts: Sequence[Receipt]) -> None:
        for event, fields in receipts:
            if not self.outside.closing.is_set():
                self._call_back("receipt", self.form["StatusCallback"], event, fields)

    def _call_back(self, what: str, url: str, said: str, fields: Mapping[str, str]) -> None:
        line = {"what": what, "id": self.made["sid"], "url": url, "said": said}

        def told(number: int, reply: Reply) -> None:
            self._write("posted", **line, number=number, **reply.fields)

        call_back(self.outside.poster, url, self.token, fields, told=told)

    def _fields(self, status: str) -> dict[str, str]:
        people = {"From": self.form["From"], "Caller": self.form["From"], "To": self.form["To"]}
        return {
            "CallSid": self.made["sid"],
            "AccountSid": self.made["account_sid"],
            "CallStatus": status,
            "Direction": "outbound-api",
            "ApiVersion": self.made["api_version"],
            **people,
            "Called": self.form["To"],
        }

    # Who picked up.

    def _detected(self) -> dict[str, str]:
        """AnsweredBy, where the call asked for it."""
        detection, answer = self.form.get("MachineDetection", "none"), str(self._reaction.answer)
        if detection not in ("Enable", "DetectMessageEnd"):
            return {}
        if answer == "machine":
            answer = "machine_start" if detection == "Enable" else "machine_end_beep"
        self.made["answered_by"] = answer
        return {"AnsweredBy": answer, "MachineDetectionDuration": DETECTED_AFTER}

    @property
    def _detects_later(self) -> bool:
        return self.form.get("AsyncAmd") == "true"

    def _detect_later(self) -> None:
        detected, url = self._detected(), self.form.get("AsyncAmdStatusCallback")
        if detected and url and self._detects_later:
            ids = {"CallSid": self.made["sid"], "AccountSid": self.made["account_sid"]}
            self.outside.background.soon(
                lambda: self._call_back("detection", url, detected["AnsweredBy"], {**ids, **detected})
            )

    # What is said.

    def _talk(self) -> None:
        if twiml := self.form.get("Twiml"):
            step = self._heard("", Reply(200, twiml.encode()))
            url = ""
        else:
            step, url = Next(self.form.get("Url", ""), self.form.get("Method") or "POST"), ""
        first: Mapping[str, str] = {} if self._detects_later else self._detected()
        while step is not None and not self.outside.closing.is_set() and self.made["status"] not in SIP:
            url = urljoin(url, step.url) if step.url else url
            step = self._document(url, step, first)
            first = {}

    def _document(self, url: str, step: Next, more: Mapping[str, str]) -> Next | None:
        """Fetch a document and go through it; where it leads, or None when the call is over."""
        if self._documents == MOST_DOCUMENTS:
            self._line(url, error=f"{MOST_DOCUMENTS} documents in one call: a loop")
            return None
        pressed = {} if step.digits is None else {"Digits": step.digits, "msg": "Gather End", "FinishedOnKey": ""}
        fields = {**self._fields("in-progress"), **more, **pressed}
        reply = call_back(self.outside.poster, url, self.token, fields, method=step.method)
        with self._lock:  # what came too late was not heard
            if self.made["status"] in SIP:
                self._line(url, error="ended before it was heard")
                return None
            return self._heard(url, reply)

    def _heard(self, url: str, reply: Reply) -> Next | None:
        self._documents += 1
        turn = self._walked(url, reply)
        if turn is None:
            return None
        self._seconds += turn.seconds
        return None if self._hung_up() else turn.next

    def _walked(self, url: str, reply: Reply) -> Turn | None:
        if reply.error:
            self._line(url, error=reply.error)
            return None
        if reply.trouble:
            self._line(url, status=reply.status, error=f"HTTP {reply.status}")
            return None
        try:
            turn = walk(reply.body, self._press)
        except TwimlError as error:
            self._line(url, status=reply.status, error=str(error))
            return None
        self._line(url, status=reply.status, text=turn.text, digits=turn.digits)
        return turn

    def _press(self) -> str | None:
        if self._hung_up():
            return None
        return self._keys.pop(0) if self._keys else ""

    def _hung_up(self) -> bool:
        limit = self._reaction.hangs_up
        return limit is not None and self._documents >= limit

    def _line(self, url: str, **outcome: object) -> None:
        self._write("twiml", id=self.made["sid"], url=urldefrag(url).url, **outcome)

    def _write(self, event: str, **fields: object) -> None:
        if self._exchange is not None:
            self._exchange.write(event, **fields)
