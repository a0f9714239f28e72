"""What a debtor wrote becomes an answer: who wrote it, what they mean, and what follows from it.

An email is found by the mailbox it was written to, never by who says they wrote it; an SMS by its number, which the
operators vouch for. What is not surely understood is a `message`: the ladder holds, and a person reads it.
"""

from dataclasses import replace
from datetime import datetime
from typing import cast

import structlog

from channels.base import Reply
from worker.app import App
from worker.commit import Keys
from worker.dunning.answers import LONGEST, Answer, AnswerKind
from worker.dunning.effects import NotAcceptable
from worker.dunning.model import Case, creditor_of
from worker.dunning.view import local_today
from worker.inbound import NoSuchCase, answer
from worker.inbox import whole
from worker.intake import REMEMBERED
from worker.links import BadToken
from worker.queues import INBOUND
from worker.suppression import add
from worker.understanding import Intent, Understood, understand

_log = structlog.get_logger("relance.replies")

_KINDS: dict[Intent, AnswerKind] = {
    "stop": "opt_out",
    "start": "opt_in",
    "help": "help",
    "already_paid": "already_paid",
    "promise": "promise",
    "dispute": "dispute",
    "message": "message",
    "nothing": "message",  # no word of their own: perhaps a picture, or a file
}
#: What a provider takes a text for, and has already answered; a HELP that it answered needs no other answer.
_KEYWORDS: dict[str, Intent] = {"STOP": "stop", "START": "start"}


def listen(app: App, reply: Reply) -> None:
    """Store what they wrote, as the answer it is. Raises redis errors. May be repeated."""
    if reply.automatic or reply.keyword == "HELP":
        _log.info("reply.automatic", channel=reply.channel)
        return
    cases = _cases_of_mailbox(app, reply) if reply.channel == "email" else _cases_of_number(app, reply)
    meant = understood(reply, cases[0] if cases else None, app.clock.now())
    if meant.intent == "nothing" and meant.own:  # a machine's words, without its header
        _log.info("reply.automatic", channel=reply.channel)
        return
    if reply.channel == "sms" and meant.intent == "stop":
        _stop(app, reply, cases)
    elif cases:
        _answer(app, cases[0], reply, meant)
    else:
        app.broker.rejected.add(whole(reply).encode(), "a reply from nobody we know", INBOUND)


def understood(reply: Reply, case: Case | None, now: datetime) -> Understood:
    """What the reply means, to somebody who knows the case."""
    text = reply.text if reply.text.strip() else reply.subject
    language = case.debtor.locale if case else "fr"
    meant = understand(text, today=local_today(case, now) if case else now.date(), language=language)
    return replace(meant, intent=_KEYWORDS[reply.keyword]) if reply.keyword in _KEYWORDS else meant


def _cases_of_mailbox(app: App, reply: Reply) -> list[Case]:
    try:
        case_id = app.links.case_of_mailbox(reply.to) if app.links else ""
    except BadToken:
        return []
    stored = app.cases.load(case_id) if case_id else None
    return [stored.case] if stored else []


def _cases_of_number(app: App, reply: Reply) -> list[Case]:
    """The cases that number was last written to about, the latest first; of those who write from the number it answers,
    if any do."""
    found: list[tuple[int, str]] = []
    for creditor in app.config.creditors:
        known = cast("str | None", app.client.hget(Keys(creditor).phones, reply.sender))
        if known:
            at, _, case_id = known.partition("|")
            found.append((int(at), case_id))
    own = [entry for entry in found if creditor_of(entry[1]) in _senders(app, reply.to)]
    stored = [app.cases.load(case_id) for _, case_id in sorted(own or found, reverse=True)]
    return [each.case for each in stored if each]


def _senders(app: App, number: str) -> set[str]:
    """The creditors whose SMS come from that number."""
    creditors = app.config.creditors.items()
    return {name for name, creditor in creditors if creditor.sms and creditor.sms.sender == number}


def _stop(app: App, reply: Reply, cases: list[Case]) -> None:
    """For everybody who writes from that number, whether or not we know a case of theirs.

    Once all is done it is marked so: delivered again, after a START perhaps, it does nothing.
    """
    creditors = _senders(app, reply.to) | {case.creditor for case in cases} or set(app.config.creditors)
    marks = {creditor: Keys(creditor).job(f"stop:{reply.id}") for creditor in creditors}
    for creditor, mark in marks.items():  # the list first: it stops them all
        if not app.client.exists(mark):
            add(app, creditor, "sms", reply.sender, why="opted_out", by="sms")
    for case in cases:
        _answer(app, case, reply, Understood("stop"))
    for mark in marks.values():
        app.client.set(mark, "1", ex=REMEMBERED)


def _is_theirs(app: App, case: Case, reply: Reply) -> bool:
    """Is it the debtor's number as we know it today, or one that stands for it in staging? A mailbox is the case's."""
    staging = app.config.creditors[case.creditor].redirect_to is not None
    return reply.channel == "email" or staging or reply.sender == case.debtor.phone


def _answer(app: App, case: Case, reply: Reply, meant: Understood) -> None:
    kind = _KINDS[meant.intent]
    if kind == "help" and reply.channel == "email":
        kind = "message"  # a person helps better
    said = Answer(
        kind=kind,
        source=reply.channel,
        ref=f"{reply.channel}:{reply.id}",
        on=meant.on if kind == "promise" else None,
        channels=(reply.channel,) if kind in ("opt_out", "opt_in") and _is_theirs(app, case, reply) else (),
        text=meant.own[:LONGEST],
    )
    try:
        heard = answer(app, case.id, said)
    except NotAcceptable:  # a date too far away: a person decides
        said = replace(said, kind="message", on=None)
        heard = answer(app, case.id, said)
    except NoSuchCase:
        return
    _log.info("reply.understood", case=case.id, channel=reply.channel, intent=said.kind, repeated=heard.repeated)
