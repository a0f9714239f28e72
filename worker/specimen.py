"""A step's message sent to an address of one's own, to see it arrive as it would: of no case, and marked as a test.

It goes by the providers and adapters that carry real ones.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

from channels.base import Accepted, ChannelError, Message, Rejected, Unavailable, Uncertain
from worker import fields
from worker.app import App, Setup
from worker.config import OUTBOX
from worker.example import Example
from worker.messages import prepare
from worker.operations import NotPossible, paused
from worker.plan import Stage, stages

#: What a person can be reached by at once; a letter is printed from `relance preview`.
CHANNELS = ("email", "sms", "voice")

_MEANS = {
    "accepted": "the provider took it; it has not arrived yet",
    OUTBOX: "written to a file, for nobody to get",
    "address": "nobody can be reached there",
    "opted_out": "whoever has this address asked the sender to stop",
    "content": "the provider refuses the wording or the request",
    "throttle": "too fast, or a quota is used up",
    "account": "credentials, permissions, sender or base URL are wrong: a person must act",
    "down": "the provider cannot be reached",
    "uncertain": "it may have gone: look whether it arrives before trying again",
}


@dataclass(frozen=True, slots=True)
class Specimen:
    """What became of it. `outcome` is accepted, rejected, unavailable or uncertain, `code` the provider's own word.

    `to` is where it went, `segments` what an SMS is charged as; `notes` say what was not as somebody may expect.
    """

    outcome: str
    means: str
    channel: str
    to: str
    provider: str
    provider_id: str
    code: str
    attempt: str
    segments: int
    notes: tuple[str, ...]


def address(to: str, channel: str, country: str) -> str:
    """A mailbox or a number in its one form, by the rules for debtors. Raises NotPossible; never repeats it."""
    try:
        return fields.mailbox(to) if channel == "email" else fields.phone(to, country)
    except ValueError as error:
        raise NotPossible(f"--to: {error}") from None


def send_specimen(setup: Setup, example: Example, step: str, channel: str, to: str, today: date) -> Specimen:
    """Send it, once, as the worker would send that step to a debtor at that address.

    Raises NotPossible, WordingError, and ConfigurationError, also where a rehearsal's store must not reach people.
    """
    stage = _stage(example, step, channel, to, today)
    run = stage.case.run(step, stage.anchor)
    if run is None or not stage.rung.channels:
        raise NotPossible(f"{step!r} sends nothing to the debtor")
    prepared = prepare(setup, stage.case, run, channel, 1, stage.at, test=True)
    message = _marked(prepared.message)
    provider = setup.providers.pick(example.creditor.id, channel, 0)
    outcome = _call(setup, provider, message)
    return Specimen(
        outcome=type(outcome).__name__.lower(),
        means=_means(outcome, provider),
        channel=channel,
        to=message.to,
        provider=provider,
        provider_id=outcome.provider_id if isinstance(outcome, Accepted) else "",
        code=outcome.code if isinstance(outcome, ChannelError) else "",
        attempt=message.attempt,
        segments=prepared.wording.segments,
        notes=tuple(_notes(setup, example, provider, message, to)),
    )


def _stage(example: Example, step: str, channel: str, to: str, today: date) -> Stage:
    """The step as the example takes it about today, so that no date in it is far off."""
    once = _taken(replace(example, due_on=today), step, channel, to)
    return _taken(replace(example, due_on=today - (once.rung.on - today)), step, channel, to)


def _taken(example: Example, step: str, channel: str, to: str) -> Stage:
    """No case's id reads like this one's, which are hexadecimal digits behind the creditor: a receipt finds none."""
    case_id = f"{example.creditor.id}-test-{secrets.token_hex(6)}"
    case = example.case(case_id, email=to) if channel == "email" else example.case(case_id, phone=to)
    found = next((stage for stage in stages(example.strategy, case) if stage.rung.step == step), None)
    if found is None:
        raise NotPossible(f"the example does not come to the step {step!r}")
    return found


def _marked(message: Message) -> Message:
    """Marked in its subject too. A call bears its words with it, as our door has none for a call of no case."""
    subject = f"[TEST] {message.subject}" if message.channel == "email" else ""
    return replace(message, subject=subject, callback_url="", status_url="")


def _call(setup: Setup, provider: str, message: Message) -> Accepted | ChannelError:
    channel = setup.providers.get(provider)
    try:
        return channel.send(message)
    except ChannelError as error:
        return error
    except Exception as error:
        return Uncertain(type(error).__name__, "the adapter raised what it should not")


def _means(outcome: Accepted | ChannelError, provider: str) -> str:
    if isinstance(outcome, Accepted) and provider == OUTBOX:
        return _MEANS[OUTBOX]
    return _MEANS[outcome.why if isinstance(outcome, Rejected | Unavailable) else type(outcome).__name__.lower()]


def _notes(setup: Setup, example: Example, provider: str, message: Message, to: str) -> Iterator[str]:
    creditor, channel = example.creditor, message.channel
    if message.to != to:
        yield "the creditor is staging (redirect_to): it went to the address named there"
    if provider == OUTBOX:
        yield f"in {setup.providers.outbox}, because {_why_outbox(setup, example, channel)}"
    if isinstance(setup, App):
        scopes = {"all", "creditor", f"strategy:{example.strategy.name}", f"channel:{channel}"}
        stopped = sorted(scopes & set(paused(setup).get(creditor.id, ())))
        if stopped:
            yield f"paused: {', '.join(stopped)}; debtors get nothing, a test to yourself leaves all the same"


def _why_outbox(setup: Setup, example: Example, channel: str) -> str:
    creditor = example.creditor
    if creditor.mode == "shadow":
        return f"{creditor.id} is in shadow mode"
    if creditor.redirect_to and creditor.redirect_to.address(channel) is None:
        return f"{creditor.id} is staging, and redirect_to names no address for {channel}"
    return setup.providers.route(creditor.id, channel).lacks or f"the configuration has it carry {channel}"
