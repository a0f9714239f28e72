"""The debtors, their banks and the operator: they see what a person would see, and act through the same doors."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from html.parser import HTMLParser
from threading import Event, Thread
from typing import Any
from urllib.parse import urljoin

import dramatiq
import urllib3

from worker.app import App
from worker.clock import UNREAD, RehearsalClock
from worker.commit import Keys
from worker.demo.stage import relance
from worker.demo.story import AFTERWARDS, KEYS, OPERATOR, PAYING, PAYMENTS, REPLIES, Heard, Payment, Says
from worker.processes import Stop
from worker.queues import FACTS
from worker.watch import entries

#: How long, at most, the clock waits for somebody who is on the telephone or about to act, in real seconds.
ACTING = 30.0


@contextmanager
def playing(app: App, stop: Stop | None = None) -> Iterator[None]:
    """They act as long as this lasts, unless there is no time to wait for them; the parts are given back at its end."""
    over, hurry = Event(), (stop or Stop()).at_once
    thread = Thread(target=Players(app).play, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        while thread.is_alive() and not hurry.is_set():
            thread.join(0.05)
        app.close()


class Players:
    """All of them, moved by the event stream."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._http = urllib3.PoolManager(timeout=10, retries=False)
        self._debtors: dict[str, dict[str, Any]] = {}
        self._reserved: dict[tuple[str, int], Heard] = {}
        self._later: list[tuple[datetime, Callable[[], None]]] = []

    def play(self, stop: Event) -> None:
        """Pay, answer and approve, as the events call for it."""
        orders = [{"channel": "voice", "to": number, "keys": list(keys)} for number, keys in KEYS.items()]
        self._sandbox("twilio", "reactions", orders)
        seen = {Keys(creditor).events: UNREAD for creditor in self.app.config.creditors}
        self._clock.attend(seen, ACTING)
        for entry in entries(self.app):
            if stop.is_set():
                return
            self._keep_appointments()
            if entry is not None:
                self._see(entry.case_id, entry.event)
                seen[entry.stream] = entry.id
            self._clock.attend(seen, ACTING)

    def _see(self, case_id: str, event: dict[str, Any]) -> None:
        match event["type"]:
            case "CaseOpened":
                self._debtors[case_id] = event["debtor"]
            case "AttemptReserved":
                heard = Heard(self._debtors[case_id]["id"], event["step"], event["channel"])
                self._reserved[case_id, event["attempt"]] = heard
                if heard.channel == "voice" and self._debtors[case_id].get("phone") in KEYS:
                    self._clock.hold(case_id, ACTING)
            case "AttemptAccepted":
                self._react(case_id, self._reserved[case_id, event["attempt"]])
            case "AnswerReceived":
                self._follow_up(case_id, event["answer"]["kind"])
            case "ReceiptArrived" if event["what"] in ("ended", "unanswered"):
                self._clock.unhold(case_id)
            case "HoldPlaced" if event["hold"]["reason"] == "approval_pending":
                self._approve(case_id, event["hold"]["note"])

    def _react(self, case_id: str, heard: Heard) -> None:
        """To a message that has reached them."""
        if heard in PAYMENTS:
            self._arrange(PAYING, lambda: self._pay(PAYMENTS[heard]))
        if heard in REPLIES:
            self._reply(case_id, REPLIES[heard])

    # ---- debtors

    def _reply(self, case_id: str, says: Says) -> None:
        debtor = self._debtors[case_id]
        if says.by == "sms":
            self._sandbox("twilio", "sms", {"sender": debtor["phone"], "body": says.words})
        elif says.by == "email":
            self._sandbox("sendgrid", "mail", {"sender": debtor["email"], "text": says.words})
        else:
            self._dispute(debtor["email"], says.words)

    def _dispute(self, mailbox: str, words: str) -> None:
        """Follow the link of the last email, choose the form, send it."""
        mails = [entry for entry in self._sandbox("sendgrid", "accepted") if entry["to"] == mailbox]
        page = next(word for word in mails[-1]["text"].split() if f"{self.app.environment.public_url}/r/" in word)
        form = Form(self._http.request("GET", page).data.decode(), "problem")
        fields = {**form.fields, "reason": "dispute", "text": words}
        self._http.request("POST", urljoin(page, form.action), fields=fields, encode_multipart=False, redirect=False)

    def _sandbox(self, provider: str, path: str, body: Any = None) -> Any:
        url = f"{self.app.environ[f'{provider.upper()}_BASE_URL']}/sandbox/{path}"
        answer = self._http.request("GET", url) if body is None else self._http.request("POST", url, json=body)
        return answer.json()

    # ---- banks and billing

    def _follow_up(self, case_id: str, kind: str) -> None:
        """What comes of an answer, on its day."""
        debtor = self._debtors[case_id]["id"]
        if (debtor, kind) not in AFTERWARDS:
            return
        after, what = AFTERWARDS[debtor, kind]
        self._arrange(after, lambda: self._pay(what) if isinstance(what, Payment) else self._close(case_id, what))

    def _arrange(self, after: timedelta, act: Callable[[], None]) -> None:
        when = self.app.clock.now() + after
        self._clock.meet(when)
        self._later.append((when, act))

    def _keep_appointments(self) -> None:
        now = self.app.clock.now()
        for when, act in [entry for entry in self._later if entry[0] <= now]:
            act()
            self._later.remove((when, act))
            self._clock.met(when)

    def _pay(self, payment: Payment) -> None:
        about = {"invoice": payment.invoice, "amount": payment.amount, "currency": "EUR", "means": "transfer"}
        reference = f"transfer {payment.invoice}"
        self._enqueue("payment_received", f"paid-{payment.invoice}", **about, reference=reference)

    def _close(self, case_id: str, reason: str) -> None:
        self._enqueue("case_closed", f"closed-{case_id}", case=case_id, reason=reason)

    def _enqueue(self, kind: str, job_id: str, **fields: str) -> None:
        job = {"type": kind, "version": 1, "job_id": job_id, "creditor": "demo", **fields}
        self.app.broker.enqueue(
            dramatiq.Message(queue_name=FACTS, actor_name=kind, args=(), kwargs={"job": job}, options={})
        )

    # ---- the operator

    def _approve(self, case_id: str, step: str) -> None:
        """`relance approve`."""
        relance(self.app.environ, "approve", case_id, step, "--by", OPERATOR, stdout=subprocess.DEVNULL).wait(ACTING)

    # ---- the clock

    @property
    def _clock(self) -> RehearsalClock:
        clock = self.app.clock
        if not isinstance(clock, RehearsalClock):
            raise TypeError("the demo is a rehearsal")
        return clock


class Form(HTMLParser):
    """The form of a page whose field `answer` has that value: where it goes, and the fields a browser fills in."""

    def __init__(self, page: str, choice: str) -> None:
        super().__init__()
        self._choice = choice
        self._action, self._fields = "", dict[str, str]()
        self.action, self.fields = "", dict[str, str]()
        self.feed(page)
        if not self.fields:
            raise LookupError(f"the page has no form for {choice!r}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A form begins, or one of its hidden fields or buttons."""
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._action, self._fields = given.get("action", ""), {}
        elif (tag == "button" or given.get("type") == "hidden") and "name" in given:
            self._fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """A form is over: was it the one?"""
        if tag == "form" and self._fields.get("answer") == self._choice:
            self.action, self.fields = self._action, self._fields
