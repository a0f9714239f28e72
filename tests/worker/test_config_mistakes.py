"""What is wrong in the configuration is said, all of it at once, in a way that helps."""

from pathlib import Path

import pytest

from tests.worker.config_copy import B2B, B2C, CHANNELS, DEMO, Copy
from worker.config import ConfigError, load
from worker.links import Links
from worker.reminders import case_id_of


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy to break."""
    return Copy(tmp_path)


def test_a_wrong_channel_is_said_as_promised(copy: Copy) -> None:
    """The line names file, path, what was found, what was meant, and the line to go to."""
    copy.edit(B2B, "channel: voice", "channel: emial")
    (only,) = copy.problems()
    said, _, line = only.partition(" (line ")
    assert said == "strategies/b2b.yaml: ladder.3.channel: 'emial' is not a channel; did you mean 'email'?"
    lines = (copy.folder / B2B).read_text("utf-8").splitlines()
    assert lines[int(line.rstrip(")")) - 1].strip() == "channel: emial"


MISTAKES = [
    (B2B, "notice: nudge", "notcie: nudge", "ladder.2.notcie: unknown field; did you mean 'notice'?"),
    (B2B, "when: due + 5d", "when: due + 5", "ladder.2.when: 'due + 5' is not a day of a ladder"),
    (B2B, "due - 7d", "previous - 7d", "nothing can be before 'previous'"),
    (B2B, "due - 7d", "previous + 7d", "ladder.0.when: 'previous' needs a step above"),
    (B2B, "when: due + 5d", "when: due + 10d", "ladder.3.when: comes before a step above it"),
    (B2B, "tone: 3", "tone: 5", "ladder.4.tone: 5 is more than 4"),
    (B2B, "mon-fri", "mon-fry", "contact.window.days: 'mon-fry' is not days of the week"),
    (B2B, "days: mon-fri", "days: []", "contact.window.days: "),
    (B2B, '["09:00-12:00", "14:00-18:00"]', "[]", "contact.window.hours: empty"),
    (B2B, "09:00-12:00", "09:00-09:00", "not open hours of one day"),
    (B2B, "14:00-18:00", "11:00-18:00", "contact.window: these hours overlap"),
    (B2B, "4 in 30d", "4 a month", "contact.caps.voice: '4 a month' is not a cap"),
    (B2B, "min_gap: 3d", "min_gap: 3", "contact.min_gap: 3 is not a number of days"),
    (B2B, "deadline: 7d", "deadline: soon", "ladder.1.deadline: 'soon' is not a number of days"),
    (B2B, "{voice: 4", "{phone: 4", "'phone' is not a channel"),
    (B2B, "name: second_call", "name: call", "ladder.5.name: 'call' is the name of a step above"),
    (B2B, "channel: sms", "first_of: [sms, voice]\n    channel: sms", "ladder.2: needs exactly one of"),
    (B2B, "channel: sms", "handover: agency", "ladder.2.handover: a handover ends the ladder"),
    (B2B, "channels: [email, task]", "channels: [email, email]", "names a channel twice"),
    (B2B, "driven_by: ladder", "driven_by: job", "driven_by: 'job' is not one of: 'ladder' or 'jobs'"),
    (B2B, "min_amount: 10 ", "min_amount: -1 ", "min_amount: -1 is less than 0"),
    (B2B, "name: b2b", "name: btob", "name: 'btob' is not the name of the file, 'b2b'"),
    (B2B, "tone: 1", "tone: 1\n    tone: 1", "ladder.1.tone: 'tone' is there twice"),
    (B2B, "name: b2b", "name: [b2b", "strategies/b2b.yaml: not YAML: "),
    (DEMO, "mode: live", "payments_feed: {max_age: 36}", "payments_feed.max_age: 36 is not an age (expected one such"),
    (DEMO, "mode: live", "payments_feed: {max_age: 1m}", "payments_feed.max_age: shorter than 5m"),
    (DEMO, "mode: live", "ramp: 10% in 10m", "ramp: '10% in 10m' is not a ramp (expected one such as '10% per 10m')"),
    (DEMO, "mode: live", "ramp: 0% per 10m", "ramp: '0% per 10m' is not a ramp"),
    (DEMO, "mode: live", "ramp: 101% per 10m", "ramp: '101% per 10m' is not a ramp"),
    (DEMO, "mode: live", "ramp: 10% per 25h", "ramp: per longer than 24h"),
    (DEMO, "mode: live", "payments_feed: 36h", "payments_feed: "),
    (DEMO, "business: b2b", "business: b2", "strategies.business: 'b2' is not a strategy; did you mean"),
    (DEMO, "business: b2b", "business: b2c", "strategies.business: 'b2c' is not for that kind"),
    (DEMO, "Europe/Paris", "Europe/Pari", "'Europe/Pari' is not a time zone; did you mean 'Europe/Paris'?"),
    (DEMO, "890 189", "890 188", "is not an IBAN: its check digits are wrong"),
    (DEMO, "DEMOFRPP", "DEMO", "bic: 'DEMO' is not a BIC"),
    (DEMO, "id: demo", "id: demo-1", "id: 'demo-1' is not of the form"),
    (DEMO, "+33 1 99 00 12 34", "01 99 00 12 34", "contact.phone: '01 99 00 12 34' is not a phone number"),
    (DEMO, "country: FR", "country: UK", "country: 'UK' is not a country"),
    (DEMO, "currency: EUR", "currency: FRF", "currency: 'FRF' is not a currency"),
    (DEMO, "name: Atelier Démo", "name: '{{ name }}'", "name: looks like a template"),
    (DEMO, "AtelierDemo", "AtelierDemoSA", "sms.sender: 'AtelierDemoSA' is not an SMS sender"),
    (DEMO, "AtelierDemo", "36100", "sms.sender: 36100 is not an SMS sender"),
    (DEMO, "AtelierDemo", "MG" + "0g" * 16, "sms.sender: 'MG0g0g"),
    (DEMO, "AtelierDemo", "Demo SARL", "sms.sender: 'Demo SARL' is not a name that operators in France take"),
    (DEMO, "AtelierDemo", "+33 6 39 98 12 34", "sms.sender: '+33639981234' is a mobile number, which operators"),
    (DEMO, "AtelierDemo", "+33 7 00 00 00 00", "sms.sender: '+33700000000' is a mobile number, which operators"),
    (DEMO, "+33 1 99 00 12 34", "+33 8 99 12 34 56", "contact.phone: '+33 8 99 12 34 56' is not a number that debtors"),
    (DEMO, "+33 1 99 00 12 34", "+33 8 10 12 34 56", "it costs more than an ordinary call"),
    (DEMO, "sms:\n  sender: AtelierDemo", "", "sms: required: b2b, b2c may send by sms"),
    (DEMO, "mode: live", "providers: {email: [twilio_sms]}", "'twilio_sms' cannot carry email"),
    (DEMO, "mode: live", "providers: {email: [sengrid]}", "'sengrid' is not a provider; did you mean 's"),
    (DEMO, "mode: live", "redirect_to: {}", "redirect_to: names neither an email nor a phone"),
    (DEMO, "mode: live", "api_keys: [relance_secret]", "api_keys.0: expected sha256: and 64 hexadecimal digits"),
    (DEMO, "mode: live", "api_rate: 20", "api_rate: 20 is not a rate (expected one such as '20/s' or '600/m')"),
    (DEMO, "mode: live", "webhook: {url: 'http://a.test/?k=s3cret', secret_env: S}", "webhook.url: expected an https"),
    (DEMO, "mode: live", "webhook: {url: 'https://a.test'}", "webhook.secret_env: required"),
    (DEMO, "mode: live", "webhook: {url: 'https://a.test', secret_env: s3cret}", "expected the name of an environment"),
    (DEMO, "mode: live", "still_due: {url: 'https://a.test'}", "still_due.on_error: required"),
    (DEMO, "mode: live", "still_due: {url: 'https://a.test', on_error: send, timeout: 11s}", "longer than 10s"),
    (CHANNELS, "kind: smtp_email", "kind: smtp_emial", "providers.smtp.kind: 'smtp_emial' is not a kind of provider"),
    (CHANNELS, "kind: smtp_email", "kind: smtp_email\n    hots: x", "hots: not a setting of this kind"),
    (CHANNELS, "outbox:\n    kind: outbox", "files:\n    kind: outbox", "providers: 'outbox' is required"),
    (CHANNELS, "kind: outbox", "kind: postback\n    url: https://a.test", "providers.outbox.kind: 'postback' is not"),
    (CHANNELS, "[twilio_sms]", "[twilio]", "channels.sms.providers.0: 'twilio' is not a provider"),
    (CHANNELS, "[twilio_sms]", "[twilio_voice]", "channels.sms.providers.0: 'twilio_voice' cannot carry sms"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "says"), MISTAKES)
def test_a_mistake_is_named(copy: Copy, file: str, old: str, new: str, says: str) -> None:
    """Each mistake gives exactly one line, which names the file and says what was expected."""
    copy.edit(file, old, new)
    (only,) = copy.problems()
    assert only.startswith(file)
    assert says in only


def test_a_file_that_is_half_right_is_still_one_file(copy: Copy) -> None:
    """All problems of all files are told at once, so that one run of the check is enough."""
    copy.edit(B2B, "channel: voice", "channel: emial")
    copy.edit(B2B, "tone: 3", "tone: 9")
    copy.edit(B2C, "due + 3d", "due+3j")
    copy.edit(DEMO, "mode: live", "mode: alive")
    copy.edit(CHANNELS, "kind: task", "kind: tusk")
    found = copy.problems()
    assert len(found) == 5
    assert {line.partition(":")[0] for line in found} == {
        "channels.yaml", "creditors/demo.yaml", "strategies/b2b.yaml", "strategies/b2c.yaml",
    }  # fmt: skip


def test_a_previous_deadline_needs_one(copy: Copy) -> None:
    """A step cannot wait for a deadline that no step above gives."""
    for days in ("7d", "10d"):
        copy.edit(B2C, f"deadline: {days}", "")
    (only,) = copy.problems()
    assert "ladder.5.when: 'previous deadline' needs a step above that has a deadline" in only


@pytest.mark.parametrize("number", ["+33 6 39 98 12 34", "+33 7 00 00 00 00", "+33 1 99 00 12 34", "+33 9 70 00 00 00"])
def test_a_french_call_shows_no_ordinary_number(copy: Copy, number: str) -> None:
    """Mobile and ordinary numbers are refused as caller ID of automated calls, and the allowed ranges are named."""
    copy.edit(DEMO, "+33 9 48 00 00 00", number)
    (only,) = copy.problems()
    assert "voice.caller_id: " in only
    assert "0162, 0163" in only


def test_files_nobody_would_read_are_named(copy: Copy) -> None:
    """A creditor in a .yml file would be silently unknown: the check says so."""
    (copy.folder / "creditors/acme.yml").write_text("id: acme", "utf-8")
    assert copy.problems() == ["creditors/acme.yml: not read; its name must end in .yaml"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# nothing\n",
        "just words",
        "- a\n- b",
        "a: &a [*a]",
        "\x00",
        "a: !!python/name:os.system x",
        "a: !!timestamp z",
        "a: !!bool x",
    ],
)
def test_no_file_can_break_the_check(copy: Copy, content: str) -> None:
    """Whatever a file holds, the answer is a list of problems."""
    (copy.folder / "strategies/third.yaml").write_text(content, "utf-8")
    found = copy.problems()
    assert found
    assert all(line.startswith("strategies/third.yaml: ") for line in found)


def test_a_missing_folder_or_file_is_a_problem_too(tmp_path: Path, copy: Copy) -> None:
    """Nothing to read is said plainly."""
    with pytest.raises(ConfigError, match="there is no such folder"):
        load(tmp_path / "nowhere")
    (copy.folder / CHANNELS).unlink()
    with pytest.raises(ConfigError, match=r"channels\.yaml: cannot be read"):
        load(copy.folder)


def test_the_longest_creditor_has_room_in_a_mailbox(copy: Copy) -> None:
    """A mailbox's name has 64 characters at most (RFC 5321); of a creditor with one letter more the file is refused."""
    longest = "a" * 31
    copy.edit(DEMO, "id: demo", f"id: {longest}")
    (copy.folder / DEMO).rename(copy.folder / f"creditors/{longest}.yaml")
    assert list(load(copy.folder).creditors) == [longest]
    box = Links("https://x.example", ["k" * 32]).mailbox(case_id_of(longest, "D-1", "g", ""), "x.example")
    assert len(box.partition("@")[0]) == 64
    copy.edit(f"creditors/{longest}.yaml", longest, f"{longest}a")
    (copy.folder / f"creditors/{longest}.yaml").rename(copy.folder / f"creditors/{longest}a.yaml")
    assert any(".yaml: id: " in problem for problem in copy.problems())
