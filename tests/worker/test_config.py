"""The configuration as shipped, and how its files are read."""

from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from channels.base import ConfigurationError
from tests.worker.config_copy import B2B, B2C, DEMO, SHIPPED, Copy
from worker.config import Config, ConfigError, environment, load
from worker.dunning.strategy import When


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy to break."""
    return Copy(tmp_path)


@pytest.fixture(scope="module")
def shipped() -> Config:
    """The configuration as shipped."""
    return load(SHIPPED)


def ladder(config: Config, name: str) -> list[tuple[str, str, str]]:
    """Each step's name, its latest day and its channels, as text."""
    return [
        (step.name, ", ".join(f"{w.origin} {w.days:+}{'b' * w.business}" for w in step.when), "+".join(step.channels))
        for step in config.strategies[name].steps
    ]


def test_the_b2b_ladder_is_the_recommended_one(shipped: Config) -> None:
    """Between businesses: courtesy a week before, formal notice from day 25, the lawyer from day 45."""
    assert ladder(shipped, "b2b") == [
        ("courtesy", "due -7", "email"),
        ("first_reminder", "due +1", "email"),
        ("sms_reminder", "due +5", "sms"),
        ("call", "due +9", "voice"),
        ("second_reminder", "due +15", "email+sms+task"),
        ("second_call", "due +20", "voice"),
        ("human_call", "due +23", "task"),
        ("formal_notice", "due +25, previous +2, previous_deadline +1", "email+task"),
        ("last_word", "previous_deadline +3b", "email+task"),
        ("handover", "due +45, previous_deadline +1", ""),
    ]


def test_the_b2c_ladder_is_the_recommended_one(shipped: Config) -> None:
    """Consumers: slower, one call, a formal notice that leaves 15 days, a conciliator and not a lawyer."""
    assert ladder(shipped, "b2c") == [
        ("courtesy", "due -5", "email"),
        ("first_reminder", "due +3", "email"),
        ("sms_reminder", "due +10", "sms"),
        ("second_reminder", "due +17", "email"),
        ("call", "due +24", "voice"),
        ("formal_notice", "due +33, previous_deadline +1", "email+task"),
        ("handover", "due +60, previous_deadline +1", ""),
    ]
    strategy = shipped.strategies["b2c"]
    assert [(step.name, step.deadline) for step in strategy.steps if step.deadline] == [
        ("first_reminder", 7),
        ("second_reminder", 10),
        ("formal_notice", 15),
    ]
    assert strategy.steps[-1].handover == "conciliator"
    assert strategy.contact.window_for("voice").hours == ((time(10), time(13)), (time(14), time(20)))
    assert strategy.contact.caps == {"voice": (4, 30)}


def test_nothing_formal_leaves_without_a_person(shipped: Config) -> None:
    """Formal notices and handovers need approval in every shipped strategy."""
    for strategy in shipped.strategies.values():
        grave = [step for step in strategy.steps if step.name == "formal_notice" or step.handover]
        assert len(grave) == 2
        assert all(step.approval for step in grave)


def test_shipped_strategies_are_polite(shipped: Config) -> None:
    """Three days between contacts, nobody chased for less than 10, tone never falling, first contact without claim.

    But for those who have refused: their strategy must be named by a job, and begins with what a person approves.
    """
    for name, strategy in shipped.strategies.items():
        tones = [step.tone for step in strategy.steps]
        assert tones == sorted(tones)
        assert strategy.contact.min_gap_days >= 3
        assert strategy.min_amount == Decimal(10)
        if name == "direct_notice":
            assert strategy.steps[0].approval
            assert not any(name in creditor.strategies.values() for creditor in shipped.creditors.values())
        else:
            assert tones[0] == 0
            assert strategy.steps[0].pre_due


def test_a_call_by_a_person_is_for_amounts_worth_it(shipped: Config) -> None:
    """The human call needs at least 1000; the wording of a step is its own name unless the file says otherwise."""
    step = shipped.strategies["b2b"].step("human_call")
    assert step
    assert step.min_amount == Decimal(1000)
    notices = {step.name: step.notice for step in shipped.strategies["b2b"].steps}
    assert (notices["sms_reminder"], notices["call"]) == ("nudge", "call")


def test_the_demo_creditor_is_complete(shipped: Config) -> None:
    """What is printed and dialled is in canonical form: E.164 numbers, an IBAN without spaces."""
    demo = shipped.creditors["demo"]
    assert demo.contact.phone == "+33199001234"
    assert demo.iban == "FR7630006000011234567890189"
    assert set(demo.help) == {"fr", "en"}
    assert shipped.strategy_for("demo", "business") is shipped.strategies["b2b"]
    assert shipped.strategy_for("demo", "public") is shipped.strategies["public"]
    assert shipped.providers_for("demo", "email") == ("sendgrid", "smtp")
    assert shipped.providers["outbox"].kind == "outbox"


def test_every_message_would_find_a_provider_that_exists(shipped: Config) -> None:
    """Each channel names providers that are there."""
    for rules in shipped.channels.values():
        assert rules.providers
        assert set(rules.providers) <= set(shipped.providers)


def test_yaml_keeps_what_was_written(copy: Copy) -> None:
    """Norway is no boolean, 0.10 no binary fraction, an unquoted +33 number no integer."""
    copy.edit(DEMO, "country: FR", "country: NO")
    copy.edit(DEMO, "+33 1 99 00 12 34", "+33199001234")
    copy.edit(B2B, "min_amount: 10", "min_amount: 0.10")
    config = load(copy.folder)
    assert config.creditors["demo"].country == "NO"
    assert config.creditors["demo"].contact.phone == "+33199001234"
    assert str(config.strategies["b2b"].min_amount) == "0.10"


def test_one_thing_stands_for_a_list_of_one(copy: Copy) -> None:
    """`hours` and `when` take one value or several; `first_of` and business days are understood."""
    copy.edit(B2B, "when: due + 5d\n    channel: sms", "when: previous + 2bd\n    first_of: [sms, email]")
    copy.edit(B2B, '["09:00-12:00", "14:00-18:00"]', '"9:00-17:30"')
    copy.edit(B2B, "mon-fri", "[sun-tue, fri]")
    copy.edit(B2B, "group_by: debtor", "backoff: [30s, 2h]")
    strategy = load(copy.folder).strategies["b2b"]
    assert strategy.steps[2].when == (When("previous", 2, business=True),)
    assert (strategy.steps[2].first, strategy.steps[2].channels) == (True, ("sms", "email"))
    assert strategy.contact.window.hours == ((time(9), time(17, 30)),)
    assert strategy.contact.window.weekdays == {6, 0, 1, 4}
    assert strategy.backoff == (timedelta(seconds=30), timedelta(hours=2))


@pytest.mark.parametrize(
    ("country", "sender"),
    [
        ("FR", "MG" + "0a" * 16),
        ("FR", "MGMotors"),
        ("FR", "+44 7700 900000"),
        ("BE", "MG Motors"),
        ("BE", "+33639981234"),
    ],
)
def test_a_sender_that_operators_take_is_taken(copy: Copy, country: str, sender: str) -> None:
    """A messaging service, a plain name, a number of another country; France's rules hold in France alone."""
    copy.edit(DEMO, "country: FR", f"country: {country}")
    copy.edit(DEMO, "sender: AtelierDemo", f"sender: {sender}")
    found = load(copy.folder).creditors["demo"].sms
    assert found
    assert found.sender == (sender.replace(" ", "") if sender.startswith("+") else sender)


@pytest.mark.parametrize("number", ["+33 8 00 12 34 56", "+33 8 09 12 34 56", "+33 9 70 00 12 34", "+33 6 39 98 12 34"])
def test_a_number_at_an_ordinary_price_can_be_called(copy: Copy, number: str) -> None:
    """Free numbers, and those at the price of any call."""
    copy.edit(DEMO, "+33 1 99 00 12 34", number)
    assert load(copy.folder).creditors["demo"].contact.phone == number.replace(" ", "")


def test_a_ladder_falls_back_only_on_channels_it_uses(copy: Copy) -> None:
    """Who writes a strategy without calls is not called because an email failed."""
    copy.edit(B2C, "  fallback: [email, sms, voice]\n", "")
    assert load(copy.folder).strategies["b2c"].contact.fallback == ("email", "sms", "voice")
    copy.edit(B2C, "channel: voice", "channel: task")
    assert load(copy.folder).strategies["b2c"].contact.fallback == ("email", "sms")


def test_the_digest_changes_with_every_byte(copy: Copy) -> None:
    """Two configurations with the same digest are the same; a comment is a change, another folder is not."""
    before = load(copy.folder)
    assert before.digest == load(SHIPPED).digest
    assert len(before.digest) == 12
    assert all(strategy.digest == before.digest for strategy in before.strategies.values())
    with (copy.folder / DEMO).open("a", encoding="utf-8") as file:
        file.write("# a word\n")
    assert load(copy.folder).digest != before.digest


def test_half_a_credential_is_a_problem(copy: Copy) -> None:
    """Nothing set means the outbox; an account without its token would mean it by mistake, so it is said."""
    load(copy.folder, {})
    load(copy.folder, {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"})
    with pytest.raises(ConfigError) as caught:
        load(copy.folder, {"TWILIO_ACCOUNT_SID": "AC1"})
    assert len(caught.value.problems) == 2
    assert "providers.twilio_sms: TWILIO_ACCOUNT_SID is set but TWILIO_AUTH_TOKEN is not" in caught.value.problems[0]


def test_what_is_read_cannot_be_changed(shipped: Config) -> None:
    """A configuration is a value: nobody can change it under a running worker."""
    with pytest.raises(TypeError):
        shipped.creditors["other"] = shipped.creditors["demo"]  # type: ignore[index]
    with pytest.raises(ValueError, match="frozen"):
        shipped.creditors["demo"].name = "x"  # type: ignore[misc]


def test_the_environment_says_where_things_are(tmp_path: Path) -> None:
    """Unset means empty and `config/`; a variable's `_FILE` twin is read; a file that is not there is an error."""
    assert environment({}).config == Path("config")
    assert environment({}).redis_url == ""
    secret = tmp_path / "url"
    secret.write_text("redis://127.0.0.1:1/0\n", "utf-8")
    found = environment({"REDIS_URL_FILE": str(secret), "PUBLIC_URL": "https://pay.example/", "RELANCE_CONFIG": "etc"})
    assert (found.redis_url, found.public_url, found.config) == (
        "redis://127.0.0.1:1/0",
        "https://pay.example",
        Path("etc"),
    )
    with pytest.raises(ConfigurationError):
        environment({"BROKER_URL_FILE": str(tmp_path / "nowhere")})


@pytest.mark.parametrize("url", ["ftp://x", "relance.example", "https://", "https://x?a=1", "https://x/#top", "//x"])
def test_a_public_address_is_one(url: str) -> None:
    """Signatures are computed over it and providers fetch it: one that cannot work is said before it is used."""
    with pytest.raises(ConfigurationError, match="PUBLIC_URL: expected a URL "):
        environment({"PUBLIC_URL": url})
