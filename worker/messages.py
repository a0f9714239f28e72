"""case + step + channel -> the message that leaves: its words, its addresses, its identity."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b

from channels.base import ConfigurationError, Message
from worker.app import Setup
from worker.config import Creditor
from worker.dunning.answers import Said
from worker.dunning.errands import step_of
from worker.dunning.model import Case, StepRun, attempt_id
from worker.dunning.strategy import Step
from worker.dunning.view import lines, local_today
from worker.example import PAGE
from worker.links import Links
from worker.render import Wording, picture

#: Where a call fetches its words, and where SMS and calls report, below PUBLIC_URL; the attempt's id follows.
VOICE_DOOR, STATUS_DOOR = "/webhooks/twilio/voice", "/webhooks/twilio/status"
#: Letters and digits that are told apart on the phone and in any typeface.
_READABLE = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


class NothingToSay(Exception):
    """No invoice is left for the message to list."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message and the wording it carries."""

    message: Message
    wording: Wording


def reference_of(case_id: str, anchor: str, step: str, channel: str) -> str:
    """The short identity of a message, (case, anchor, step, channel), in seven characters: the same on every try."""
    number = int.from_bytes(blake2b(f"{case_id}|{anchor}|{step}|{channel}".encode(), digest_size=8).digest())
    digits = []
    for _ in range(7):
        number, digit = divmod(number, len(_READABLE))
        digits.append(_READABLE[digit])
    return "".join(digits)


def message_of(case_id: str, reference: str) -> str:
    """The identity of a message, the same on every try."""
    return f"{case_id}.{reference.lower()}"


def prepare(
    setup: Setup,
    case: Case,
    run: StepRun,
    channel: str,
    attempt: int,
    at: datetime,
    *,
    example: bool = False,
    test: bool = False,
) -> Prepared:
    """The message of that run on that channel, as it reads at `at`. The links of an `example` lead nowhere; a `test` is
    one, and says so.

    Raises NothingToSay, WordingError, or ConfigurationError where the creditor has no sender for the channel.
    """
    errand = step_of(run.step, channel) if run.errand else None
    step = errand or setup.config.strategies[case.strategy].step(run.step)
    if step is None:
        raise ConfigurationError(f"strategies/{case.strategy}.yaml: the ladder has no step {run.step!r} any more")
    wording = wording_of(setup, case, step, run.anchor, channel, at, example=example, test=test)
    creditor = setup.config.creditors[case.creditor]
    reference = reference_of(case.id, run.anchor, run.step, channel)
    attempt_name = attempt_id(case, attempt)
    public = setup.environment.public_url
    links = None if example or test else setup.links
    message = Message(
        id=message_of(case.id, reference),
        attempt=attempt_name,
        reference=reference,
        channel=channel,
        to=recipient(case, channel, creditor),
        to_name=case.debtor.name,
        text=wording.text,
        html=wording.html,
        subject=wording.subject,
        language=(creditor if channel == "task" else case.debtor).locale.replace("_", "-"),
        callback_url=f"{public}{VOICE_DOOR}/{attempt_name}" if public and channel == "voice" else "",
        status_url=f"{public}{STATUS_DOOR}/{attempt_name}"
        if public and channel in ("sms", "voice") and not test
        else "",
        sender=_sender(creditor, channel),
        sender_name=creditor.email.sender_name if channel == "email" else creditor.name,
        reply_to=_reply_to(creditor, case, links) if channel == "email" else "",
        headers=_unsubscribe(case, links) if links and channel == "email" else {},
        attachments=(picture(wording.payment_code),) if wording.payment_code else (),
    )
    return Prepared(message, wording)


def wording_of(
    setup: Setup,
    case: Case,
    step: Step,
    anchor: str,
    channel: str,
    at: datetime,
    *,
    example: bool = False,
    test: bool = False,
) -> Wording:
    """The words of a step on a channel. Raises NothingToSay and WordingError."""
    today = local_today(case, at)
    run, creditor = case.run(step.name, anchor), setup.config.creditors[case.creditor]
    errand = bool(run and run.errand)
    listed = tuple(case.unpaid()) if errand else lines(case, step, anchor, today)
    if not listed:
        raise NothingToSay
    return setup.wordings.render(
        case=case,
        step=step,
        channel=channel,
        lines=listed,
        creditor=creditor,
        today=today,
        deadline=run.deadline if run else None,
        firmer=bool(run and run.firmer),
        reference=reference_of(case.id, anchor, step.name, channel),
        earlier=_earlier(case, step, anchor, {invoice.number for invoice in listed}),
        said=_said(case, anchor) if errand else (),
        page_url=_page_url(setup.links, case, channel, example=example or test),
        can_reply=bool(creditor.sms and can_be_answered(creditor.sms.sender)),
        test=test,
    )


def _page_url(links: Links | None, case: Case, channel: str, *, example: bool) -> str:
    if links is None:
        return ""
    return PAGE if example else links.page(case, channel, _real_today())


def can_be_answered(sender: str) -> bool:
    """Does an SMS sent to that sender arrive? A name is none that a phone could write to."""
    return sender.removeprefix("+").isdecimal()


def _said(case: Case, attempt: str) -> list[Said]:
    """What was answered to that attempt: of a date that was changed, the last."""
    return list({said.kind: said for said in case.said if str(said.attempt) == attempt}.values())


def _real_today() -> date:
    """Links expire in real time, whatever a rehearsal's clock says."""
    return datetime.now(UTC).date()


def _reply_to(creditor: Creditor, case: Case, links: Links | None) -> str:
    """The case's own mailbox, where answers to it are taken in; else a person's."""
    if links and creditor.email.answers_at:
        return links.mailbox(case.id, creditor.email.answers_at)
    return creditor.email.reply_to or creditor.contact.email


def _unsubscribe(case: Case, links: Links) -> dict[str, str]:
    """One click, one POST, no question (RFC 8058)."""
    url = links.unsubscribe(case, "email", _real_today())
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def _earlier(case: Case, step: Step, anchor: str, numbers: set[str]) -> list[tuple[date, str]]:
    """When, and on which channel, the debtor was written to or called about any of these invoices before."""
    about = [run for run in case.runs if numbers & {run.anchor, *run.covers}]
    return [
        (local_today(case, run.at), send.channel)
        for run in about
        for send in run.sends
        if send.status == "accepted" and send.channel != "task" and (run.step, run.anchor) != (step.name, anchor)
    ]


def recipient(case: Case, channel: str, creditor: Creditor) -> str:
    """Where it goes: the debtor's address, or the creditor's own while it is staging.

    A channel without an address to redirect to is carried by the outbox (`Providers.route`), which may show the
    debtor's.
    """
    redirected = creditor.redirect_to.address(channel) if creditor.redirect_to else None
    debtor = case.debtor
    own = {"email": debtor.email, "sms": debtor.phone, "voice": debtor.phone}
    return redirected or own.get(channel, debtor.email or debtor.phone) or ""


def _sender(creditor: Creditor, channel: str) -> str:
    """From which mailbox, number or name. Raises ConfigurationError where the creditor has none for the channel."""
    if channel == "email":
        return creditor.email.sender
    if channel == "sms" and creditor.sms:
        return creditor.sms.sender
    if channel == "voice" and creditor.voice:
        return creditor.voice.caller_id
    if channel in ("sms", "voice"):
        raise ConfigurationError(f"creditors/{creditor.id}.yaml: {channel}: no sender is set")
    return creditor.contact.email
