"""What config/README.md tells operators is so."""

import re
from pathlib import Path

import pytest

from tests.worker.config_copy import CHANNELS, DEMO, SHIPPED, Copy
from worker.config import grammar, load, senders
from worker.config.strategy import AnswersFile, ContactFile, Needs, StepFile, StrategyFile
from worker.dunning.call_menu import KEYS

README = (SHIPPED / "README.md").read_text(encoding="utf-8")


def test_every_key_of_a_strategy_is_in_the_tables() -> None:
    """An operator finds every key there is, and none that there is not."""
    named = set(re.findall(r"`([a-z_.]+)`", README))
    keys = (set(StrategyFile.model_fields) - {"name", "description", "contact", "answers"}) | set(
        StepFile.model_fields
    ) - {"name"}
    keys |= {f"contact.{key}" for key in ContactFile.model_fields} | set(Needs.model_fields)
    keys |= {f"answers.{key}" for key in AnswersFile.model_fields}
    assert keys <= named
    assert {name for name in named if name.startswith(("contact.", "answers."))} <= keys


@pytest.mark.parametrize("example", re.findall(r"^\| `\[?(due[^`\]]*|previous[^`\]]*)\]?` \|", README, re.MULTILINE))
def test_every_example_of_a_day_is_understood(example: str) -> None:
    """The table of days is made of days that the configuration takes."""
    for part in example.split(","):
        grammar.when(part.strip())


def test_there_are_examples_of_days() -> None:
    """The test above does not pass for want of examples."""
    assert len(re.findall(r"^\| `\[?(?:due|previous)", README, re.MULTILINE)) == 5


def test_a_creditor_can_have_accounts_of_its_own(tmp_path: Path) -> None:
    """The two lines that the README shows work where it says they belong."""
    copy = Copy(tmp_path)
    entry = re.search(r"  acme_sms: \{.*\}", README)
    own = re.search(r"providers: \{sms: \[acme_sms\]\}", README)
    assert entry
    assert own
    copy.edit(CHANNELS, "\nproviders:\n", f"\nproviders:\n{entry[0]}\n")
    copy.edit(DEMO, "mode: live", own[0])
    config = load(tmp_path)
    assert config.providers_for("demo", "sms") == ("acme_sms",)
    assert config.providers["acme_sms"].settings["auth_token_env"] == "ACME_TWILIO_TOKEN"


def test_the_example_of_a_mistake_is_a_real_one(tmp_path: Path) -> None:
    """The line that the README shows is what the check says, line number included."""
    copy = Copy(tmp_path)
    copy.edit("strategies/b2b.yaml", "channel: voice", "channel: emial")
    (only,) = copy.problems()
    assert f"config/{only}" in README


SENDERS = re.findall(r"^\| (\w\w) \| (sms|voice) `([^`]+)` \| (takes|refuses) \|", README, re.MULTILINE)


@pytest.mark.parametrize(("country", "channel", "sender", "says"), SENDERS)
def test_the_check_says_of_a_sender_what_the_table_says(
    tmp_path: Path, country: str, channel: str, sender: str, says: str
) -> None:
    """What it does not see, somebody else must: the table promises no more than it does."""
    copy = Copy(tmp_path)
    copy.edit(DEMO, "country: FR", f"country: {country}")
    old = {"sms": "sender: AtelierDemo", "voice": "caller_id: +33 9 48 00 00 00"}[channel]
    copy.edit(DEMO, old, f"{old.partition(':')[0]}: {sender}")
    if says == "takes":
        load(tmp_path)
    else:
        (only,) = copy.problems()
        assert f"{channel}.{old.partition(':')[0]}: " in only


def test_there_are_senders_of_each_kind() -> None:
    """The test above does not pass for want of examples."""
    assert {(channel, says) for _, channel, _, says in SENDERS} == {
        (channel, says) for channel in ("sms", "voice") for says in ("takes", "refuses")
    }


def test_the_ranges_for_calls_are_those_of_the_check() -> None:
    """An operator who buys a number of the list is not told afterwards that it will not do."""
    listed = README.partition("### A number for calls")[2].partition(" Ask Twilio")[0]
    named = set(re.findall(r"\b0\d{2,4}\b", listed.partition("):")[2]))
    assert named | {"09476", "09477", "09478"} == set(senders.FRENCH_CALLER_IDS)


def test_every_key_of_a_call_is_told() -> None:
    """What can be pressed for, and the key it ships with."""
    told = " ".join(README.split())
    assert [action for action, key in KEYS.items() if f"`{action}` ({key})" not in told] == []
