"""`relance watch`: what happens, as it happens, from the creditors' event streams and nothing else."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from worker.app import App
from worker.clock import UNREAD
from worker.commit import Keys
from worker.dunning.model import ERRAND
from worker.explain import ANSWER_WORDS, REASONS, answer_words, hold_words

_BLOCK_MS = 500
#: What is news of a message's way, in words.
RECEIPT_WORDS = {
    "hard": "did not arrive: the address is gone",
    "soft": "did not arrive, for now",
    "opted_out": "did not arrive: they had asked for no more",
    "complained": "was reported as spam",
    "content": "did not arrive: its words were refused",
    "account": "did not arrive: the account needs a person",
    "unanswered": "nobody answered",
    "answered": "somebody answered",
    "machine": "a machine answered",
}
#: With `until_ended`: how many empty reads after the last case ended, in case another one opens.
_CALM = 3


@dataclass(slots=True)
class Row:
    """One message, for the table; `then` is what came of it."""

    at: str
    debtor: str
    step: str
    channel: str
    words: str
    then: str = ""


@dataclass(slots=True)
class _Case:
    debtor: str
    zone: str
    attempts: dict[int, Row] = field(default_factory=dict)
    last: Row | None = None
    ended: bool = False


class Board:
    """What the events so far tell. `tell` takes one and gives the line to print, or nothing."""

    def __init__(self) -> None:
        self.cases: dict[str, _Case] = {}
        self.rows: list[Row] = []

    @property
    def all_ended(self) -> bool:
        """Was there a case, and is none open?"""
        return bool(self.cases) and all(case.ended for case in self.cases.values())

    def tell(self, case_id: str, event: dict[str, Any]) -> str | None:
        """Take in one event of a stream."""
        kind = event["type"]
        if kind == "CaseOpened":
            self.cases[case_id] = _Case(event["debtor"]["name"], event["debtor"]["timezone"])
        case = self.cases.get(case_id)
        if case is None:
            return None
        handler = getattr(self, f"_{_snake(kind)}", None)
        line = handler(case, event) if handler else None
        return f"{_local(event['at'], case.zone)}  {case.debtor:<24.24}  {line}" if line else None

    # One method per kind of event that is news to a person; the others are bookkeeping.

    def _case_opened(self, case: _Case, event: dict[str, Any]) -> str:
        count = len(event["invoices"])
        return f"case opened under {event['strategy']}: {count} {'invoice' if count == 1 else 'invoices'}"

    def _attempt_reserved(self, case: _Case, event: dict[str, Any]) -> None:
        at = _local(event["at"], case.zone)
        step = event["step"].removeprefix(ERRAND)
        case.attempts[event["attempt"]] = Row(at, case.debtor, step, event["channel"], "")

    def _attempt_begun(self, case: _Case, event: dict[str, Any]) -> None:
        row = case.attempts[event["attempt"]]
        row.words, row.at = event["words"], _local(event["at"], case.zone)

    def _attempt_accepted(self, case: _Case, event: dict[str, Any]) -> str:
        row = case.attempts[event["attempt"]]
        self.rows.append(row)
        case.last = row
        return f"{row.step:<16} {row.channel:<6} {row.words}"

    def _attempt_rejected(self, case: _Case, event: dict[str, Any]) -> str:
        return self._failed(case, event, f"refused: {event['why']} ({event['code']})")

    def _attempt_unavailable(self, case: _Case, event: dict[str, Any]) -> str:
        return self._failed(case, event, f"not sent, tried again later ({event['code']})")

    def _attempt_uncertain(self, case: _Case, event: dict[str, Any]) -> str:
        return self._failed(case, event, f"may have gone ({event['code']})")

    def _attempt_unsettled(self, case: _Case, event: dict[str, Any]) -> str:
        then = "sent again later" if event.get("settle_at") else "a person must look"
        return self._failed(case, event, f"may have gone, and nobody can tell ({event['why']}): {then}")

    def _attempt_reappeared(self, case: _Case, event: dict[str, Any]) -> str:
        row = case.attempts[event["attempt"]]
        return f"{row.step:<16} {row.channel:<6} had gone after all"

    def _attempt_recalled(self, case: _Case, event: dict[str, Any]) -> str:
        return self._failed(case, event, "cancelled before it left")

    def _failed(self, case: _Case, event: dict[str, Any], why: str) -> str:
        row = case.attempts[event["attempt"]]
        row.then = why
        self.rows.append(row)
        return f"{row.step:<16} {row.channel:<6} {why}"

    def _payment_received(self, case: _Case, event: dict[str, Any]) -> str:
        parts = ", ".join(f"{part['movement']['amount']} for {part['invoice']}" for part in event["parts"])
        self._then(case, f"paid {parts}")
        return f"payment received: {parts}"

    def _payment_failed(self, case: _Case, event: dict[str, Any]) -> str:
        return "a payment came back"

    def _hold_placed(self, case: _Case, event: dict[str, Any]) -> str:
        hold = event["hold"]
        about = f"{hold['invoice']} " if hold.get("invoice") else ""
        words = f"{about}held: {hold_words(hold['reason'], hold.get('note', ''))}"
        if hold["reason"] != "partial_payment":
            self._then(case, words)
        return words

    def _hold_lapsed(self, case: _Case, event: dict[str, Any]) -> str | None:
        outcome = event.get("outcome")
        if not outcome:
            return None
        words = f"the promise was {outcome}"
        self._then(case, words)
        return words

    def _answer_received(self, case: _Case, event: dict[str, Any]) -> str:
        words = answer_words(event["answer"])
        self._then(case, words)
        return words

    def _receipt_arrived(self, case: _Case, event: dict[str, Any]) -> str | None:
        words = RECEIPT_WORDS.get(event["what"])
        row = case.attempts.get(event["attempt"])
        if words is None or row is None:
            return None
        code = f" ({event['code']})" if event.get("code") else ""
        return f"{row.step:<16} {row.channel:<6} {words}{code}"

    def _address_suppressed(self, case: _Case, event: dict[str, Any]) -> str:
        return f"no more by {', '.join(event['channels'])}: {event['why']} ({event['by']})"

    def _address_restored(self, case: _Case, event: dict[str, Any]) -> str:
        return f"again by {', '.join(event['channels'])} ({event['by']})"

    def _task_opened(self, case: _Case, event: dict[str, Any]) -> str | None:
        return f"a task for a person: {event['kind']}" if event["kind"] in ANSWER_WORDS else None

    def _approval_given(self, case: _Case, event: dict[str, Any]) -> str:
        self.rows.append(
            Row(_local(event["at"], case.zone), case.debtor, event["step"], "-", f"approved by {event['by']}")
        )
        return f"{event['step']:<16} approved by {event['by']}"

    def _step_skipped(self, case: _Case, event: dict[str, Any]) -> str:
        self._note(case, event, "", event["why"])
        return f"{event['step']:<16} skipped: {event['why']}"

    def _handed_over(self, case: _Case, event: dict[str, Any]) -> str:
        case.ended = True
        self.rows.append(
            Row(_local(event["at"], case.zone), case.debtor, event["step"], "-", f"to: {event['to']}", "the end")
        )
        return f"{event['step']:<16} handed over to: {event['to']}"

    def _case_ended(self, case: _Case, event: dict[str, Any]) -> str:
        case.ended = True
        if case.last:
            case.last.then = f"the end: {event['reason']}"
        return f"the end: {event['reason']}"

    def _case_reopened(self, case: _Case, event: dict[str, Any]) -> str:
        case.ended = False
        return f"taken up again: {event['reason']}"

    def _next_look(self, case: _Case, event: dict[str, Any]) -> None:
        if event["reason"].startswith("held") or "until" not in event:
            return
        step = f" ({event['step']})" if event.get("step") else ""
        until = _local(event["until"], case.zone)[:10]
        self._then(case, f"waits until {until}{step}: {REASONS.get(event['reason'], event['reason'])}")

    def _note(self, case: _Case, event: dict[str, Any], words: str, then: str = "") -> None:
        self.rows.append(Row(_local(event["at"], case.zone), case.debtor, event["step"], "-", words, then))

    def _then(self, case: _Case, words: str) -> None:
        if case.last and not case.last.then:
            case.last.then = words


def _snake(kind: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()


def _local(moment: str, zone: str) -> str:
    return datetime.fromisoformat(moment).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


class Entry(NamedTuple):
    """One event of a case, and where it stands: in which creditor's stream, under which id."""

    stream: str
    id: str
    case_id: str
    event: dict[str, Any]


def entries(app: App) -> Iterator[Entry | None]:
    """What all creditors' streams tell, from their beginning on, for ever; None when nothing came for a moment."""
    at = {Keys(creditor).events: UNREAD for creditor in app.config.creditors}
    while True:
        answer = cast(Any, app.client.xread(cast(Any, at), count=100, block=_BLOCK_MS))
        streams = answer.items() if isinstance(answer, dict) else answer or []
        if not streams:
            yield None
        for stream, found in streams:
            for entry_id, fields in found[0] if isinstance(answer, dict) else found:
                at[stream] = entry_id
                yield Entry(stream, entry_id, fields["case"], json.loads(fields["event"]))


def follow_events(app: App, *, until_ended: bool) -> None:
    """Print a line per event that is news, and at the end (with `until_ended`) a table of the messages."""
    board, calm = Board(), 0
    for entry in entries(app):
        if entry is not None:
            calm = 0
            if line := board.tell(entry.case_id, entry.event):
                typer.echo(line)
        elif board.all_ended:
            calm += 1
            if until_ended and calm >= _CALM:
                break
    print_rows(board.rows)


def print_rows(rows: list[Row]) -> None:
    """The table: drawn on a terminal, one plain line a message elsewhere."""
    ordered = sorted(rows, key=lambda row: (row.debtor, row.at))
    console = Console()
    typer.echo("")
    if not console.is_terminal:
        for row in ordered:
            typer.echo(f"{row.at}  {row.debtor}  {row.step}  {row.channel}  {row.words}  -> {row.then}")
        return
    table = Table("date", "debtor", "step", "channel", "words", "then")
    for row in ordered:
        table.add_row(row.at, row.debtor, row.step, row.channel, row.words, row.then)
    console.print(table)
