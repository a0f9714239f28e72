"""What a provider's list says of a message, asked for on real sockets: there, not there, or not to be read."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import Accepted, Channel, ConfigurationError, Finder, Message, Sought, Unavailable, Uncertain
from channels.outbox import Outbox
from channels.sandbox import Fault, Listing, Sandbox
from channels.task import Task
from tests.channels.peers import closed_port
from tests.channels.samples import EMAIL, SMS, VOICE, sendgrid, twilio

Sent = tuple[Channel, Message]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Providers with lists."""
    with Sandbox(email_activity=True) as sandbox:
        yield sandbox


def channel_of(sandbox: Sandbox, message: Message) -> Channel:
    """The adapter that carries it there."""
    if message.channel == "email":
        return sendgrid(sandbox.sendgrid_url, email_activity=True)
    return twilio("twilio_sms" if message.channel == "sms" else "twilio_voice", sandbox.twilio_url)


def sought(message: Message, /, **changes: Any) -> Sought:
    """What is known of it once its answer was lost."""
    known = Sought(
        attempt=message.attempt,
        message=message.id,
        reference=message.reference,
        channel=message.channel,
        to=message.to,
        sender=message.sender,
        begun=datetime.now(UTC),
        bound=22.0,
    )
    return replace(known, **changes)


def find(channel: Channel, wanted: Sought) -> str | None:
    """The provider's id of it, if it is there."""
    assert isinstance(channel, Finder)
    found = channel.find(wanted)
    return found.provider_id if found else None


MESSAGES = pytest.mark.parametrize("message", [SMS, VOICE, EMAIL], ids=["sms", "voice", "email"])


@MESSAGES
def test_what_was_taken_is_found_under_the_providers_id(sandbox: Sandbox, message: Message) -> None:
    """And nothing is found before it was sent, nor of another attempt to somebody else."""
    channel = channel_of(sandbox, message)
    assert find(channel, sought(message)) is None
    accepted = channel.send(message)
    assert isinstance(accepted, Accepted)
    assert find(channel, sought(message)) == accepted.provider_id
    stranger = sought(message, to="+33639989999", attempt="another", reference="ZZZZZZZ", message="another")
    assert find(channel, stranger) is None


@MESSAGES
def test_a_list_that_lags_behind_does_not_have_it_yet(message: Message) -> None:
    """One look is no proof: that is why there are two."""
    with Sandbox(email_activity=True, listings=[Listing(seconds=600)]) as sandbox:
        channel = channel_of(sandbox, message)
        channel.send(message)
        assert find(channel, sought(message)) is None
        assert isinstance(channel, Finder)
        assert not channel.proves


@pytest.mark.parametrize("kind", ["429", "500", "503", "hang", "drop"])
@MESSAGES
def test_a_list_that_cannot_be_read_is_no_answer(sandbox: Sandbox, message: Message, kind: Any) -> None:
    """Whatever a broken list says, it never says that nothing went."""
    channel = channel_of(sandbox, message)
    sandbox.fault(Fault(kind, on="list", seconds=30 if kind != "hang" else 0.1))
    with pytest.raises(Unavailable) as caught:
        find(channel, sought(message))
    if kind == "429":
        assert caught.value.retry_after


@MESSAGES
def test_a_provider_that_is_away_is_no_answer(message: Message) -> None:
    """Nobody listens there."""
    url = f"http://127.0.0.1:{closed_port()}"
    channel = (
        sendgrid(url, email_activity=True)
        if message.channel == "email"
        else twilio("twilio_sms" if message.channel == "sms" else "twilio_voice", url)
    )
    with pytest.raises(Unavailable):
        find(channel, sought(message))


def test_an_account_without_email_activity_is_no_answer() -> None:
    """SendGrid says 400 then: a person must see to the configuration."""
    with Sandbox() as sandbox:
        channel = channel_of(sandbox, EMAIL)
        channel.send(EMAIL)
        with pytest.raises(Unavailable) as caught:
            find(channel, sought(EMAIL))
    assert (caught.value.why, caught.value.code) == ("account", "400")


def test_email_activity_is_off_unless_said_and_impossible_in_the_eu() -> None:
    """An empty list of a region that keeps none would be taken for a proof."""
    with Sandbox() as sandbox:
        plain = sendgrid(sandbox.sendgrid_url)
    assert isinstance(plain, Finder)
    assert not plain.finds
    with pytest.raises(ConfigurationError, match="email_activity"):
        sendgrid("https://api.eu.sendgrid.com", email_activity=True)


@pytest.mark.parametrize("offset", [-7200.0, -90.0, 90.0, 7200.0])
@pytest.mark.parametrize("message", [SMS, VOICE], ids=["sms", "voice"])
def test_times_are_the_providers_own(message: Message, offset: float) -> None:
    """Its clock is hours or a minute off ours: what it took is found, what it took days before is not."""
    with Sandbox(clock_offset=offset) as sandbox:
        channel = channel_of(sandbox, message)
        accepted = channel.send(message)
        assert find(channel, sought(message)) == accepted.provider_id
        later = sought(message, begun=datetime.now(UTC) + timedelta(days=2))
        assert find(channel, later) is None


#: Our clock, when the call began, against what it says now.
WRONG = pytest.mark.parametrize(
    "wrong", [timedelta(minutes=-10), timedelta(minutes=2), timedelta(hours=2)], ids=["slow", "fast", "zone"]
)


@WRONG
@pytest.mark.parametrize("any_try", [False, True])
def test_a_clock_that_was_wrong_hides_no_sms(sandbox: Sandbox, wrong: timedelta, any_try: bool) -> None:
    """Set right since, or another host looks: its reference tells it, and it does not go again."""
    channel = channel_of(sandbox, SMS)
    accepted = channel.send(SMS)
    wanted = sought(SMS, begun=datetime.now(UTC) + wrong, any_try=any_try)
    assert find(channel, wanted) == accepted.provider_id
    assert find(channel, replace(wanted, known=frozenset({accepted.provider_id}))) is None


@WRONG
def test_of_a_call_of_another_time_nobody_can_tell(sandbox: Sandbox, wrong: timedelta) -> None:
    """It is ours if the clock was wrong, and else somebody's who called from the same line: it is not taken for ours,
    nor for a proof that ours was not placed. Accounted for, it is another.
    """
    channel = channel_of(sandbox, VOICE)
    accepted = channel.send(VOICE)
    wanted = sought(VOICE, begun=datetime.now(UTC) + wrong)
    with pytest.raises(Uncertain, match="clocks"):
        find(channel, wanted)
    assert find(channel, replace(wanted, known=frozenset({accepted.provider_id}))) is None


def test_a_later_try_at_a_call_counts_whenever_it_was(sandbox: Sandbox) -> None:
    """Where tries may be forgotten, any since then is one."""
    channel = channel_of(sandbox, VOICE)
    channel.send(VOICE)
    earlier = sought(VOICE, begun=datetime.now(UTC) - timedelta(minutes=10), any_try=True)
    assert find(channel, earlier) is not None


def test_what_is_accounted_for_is_not_found_again(sandbox: Sandbox) -> None:
    """Two calls to one telephone, one of them known: the other is the sought one."""
    channel = channel_of(sandbox, VOICE)
    first, second = channel.send(VOICE), channel.send(VOICE)
    assert find(channel, sought(VOICE, known=frozenset({first.provider_id}))) == second.provider_id
    assert find(channel, sought(VOICE, known=frozenset({first.provider_id, second.provider_id}))) is None


@pytest.mark.parametrize(("text", "there"), [("Facture F-1. K7F2", True), ("Facture F-1.", False)])
def test_an_sms_is_told_by_its_reference_alone(sandbox: Sandbox, text: str, there: bool) -> None:
    """Smart Encoding rewrites letters, never the reference; another message to that number is another."""
    channel = channel_of(sandbox, SMS)
    channel.send(replace(SMS, text=text, reference="K7F2"))
    assert (find(channel, sought(SMS, reference="K7F2")) is not None) is there


def test_a_messaging_service_picks_the_sender(sandbox: Sandbox) -> None:
    """Sent through a pool, the message bears one of its numbers: it is found without asking for a sender."""
    pooled = replace(SMS, sender="MG" + "0" * 32)
    channel = channel_of(sandbox, pooled)
    accepted = channel.send(pooled)
    assert find(channel, sought(pooled)) == accepted.provider_id


def test_what_became_of_it_comes_with_it(sandbox: Sandbox) -> None:
    """A message that failed meanwhile is adopted together with its failure."""
    channel = channel_of(sandbox, SMS)
    channel.send(SMS)
    assert isinstance(channel, Finder)
    found = channel.find(sought(SMS))
    assert found is not None
    assert found.receipt is not None
    assert found.receipt.attempt == SMS.attempt
    assert found.receipt.what in ("taken", "sent", "delivered")  # it goes on meanwhile


def test_every_try_counts_where_the_store_may_have_forgotten(sandbox: Sandbox, tmp_path: Path) -> None:
    """The same message under another attempt: found with `any_try`, and not without."""
    for channel, message in ((channel_of(sandbox, EMAIL), EMAIL), (Outbox(tmp_path), EMAIL), (Outbox(tmp_path), SMS)):
        channel.send(message)
        other = sought(message, attempt="another")
        assert find(channel, other) is None
        assert find(channel, replace(other, any_try=True)) is not None


@pytest.mark.parametrize(
    ("message", "settings", "days"),
    [(SMS, {}, 390), (VOICE, {}, 390), (EMAIL, {}, 3), (SMS, {"list_days": 7}, 7), (EMAIL, {"activity_days": 30}, 30)],
)
def test_a_list_says_how_far_back_it_reaches(message: Message, settings: dict[str, int], days: int) -> None:
    """Thirteen months at Twilio, the least of SendGrid's plans, unless the entry says what the account has; our own
    file and our own list have no end."""
    url = "http://127.0.0.1:9"
    kind = "twilio_sms" if message.channel == "sms" else "twilio_voice"
    channel = sendgrid(url, **settings) if message.channel == "email" else twilio(kind, url, **settings)
    assert isinstance(channel, Finder)
    assert channel.reach == timedelta(days=days)
    assert (Outbox.reach, Task.reach) == (None, None)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"activity_days": 31}, "activity_days: Input should be less than or equal to 30"),
        ({"activity_days": 0}, "activity_days: Input should be greater than or equal to 1"),
        ({"activity_days": "3d"}, "activity_days: Input should be a valid integer"),
    ],
)
def test_a_list_that_no_account_has_is_refused(settings: dict[str, Any], says: str) -> None:
    """Nobody keeps so much, nor nothing."""
    with pytest.raises(ConfigurationError, match=says):
        sendgrid("http://127.0.0.1:9", **settings)
    with pytest.raises(ConfigurationError, match="list_days: Input should be less than or equal to 400"):
        twilio("twilio_sms", "http://127.0.0.1:9", list_days=401)


def test_the_outbox_and_tasks_prove_it_at_once(tmp_path: Path) -> None:
    """Our own file and our own list do not lag; a line that a full disk cut off is none."""
    outbox = Outbox(tmp_path / "new")
    assert find(outbox, sought(SMS)) is None
    outbox.send(SMS)
    with (tmp_path / "new" / "messages.jsonl").open("a") as log:
        log.write(f'{{"attempt": "{SMS.attempt}", "at": "20')
    assert find(outbox, sought(SMS)) == f"outbox-{SMS.attempt}"
    assert outbox.proves
    assert Task().proves
    assert find(Task(), sought(SMS)) is None
