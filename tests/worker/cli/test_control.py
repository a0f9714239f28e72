"""`relance check`, `status`, `pause`, `resume`: is it right, how is it, stop."""

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from channels.base import Uncertain
from tests.conftest import ROOT, MakeApp
from tests.worker.config_copy import B2B, CHANNELS, DEMO, Copy
from tests.worker.payloads import fact, reminder
from tests.worker.rig import Rig
from worker.cli.control import verdict
from worker.commit import Keys, millis
from worker.config import load
from worker.rejected import RejectedJobs
from worker.status import Status

from .conftest import Relance

TWILIO = {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "t", "TWILIO_BASE_URL": "http://127.0.0.1:9"}
NOWHERE: dict[str, Any] = {"REDIS_URL": None, "BROKER_URL": None}

# ---- ladder


def test_a_ladder_is_printed_with_the_dates_of_an_example(relance: Relance) -> None:
    """Without a store: one line a step, for people and for programs; what cannot be is said."""
    text = relance.says("ladder", "direct_notice", "--due", "2026-03-31", **NOWHERE)
    assert text.splitlines()[1] == "Wed 2026-04-01\tformal_notice\t4\temail, task\t2026-04-09\tneeds approval"
    found = json.loads(relance.says("ladder", "b2b", "--due", "2026-03-31", "--json", **NOWHERE))
    assert found[0]["step"] == "courtesy"


# ---- check


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """The shipped configuration in `config/` of the test's folder, to break."""
    return Copy(tmp_path / "config")


def test_the_shipped_configuration_is_right(relance: Relance) -> None:
    """Without a store and without credentials: every channel goes to the outbox, and it says what is missing."""
    text = relance.says("check", **NOWHERE)
    lacks = "[twilio_sms lacks TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN]"
    assert f"demo: sms -> outbox (writes files to var/outbox) {lacks}" in text
    assert "demo: task -> task (reaches nobody outside)" in text
    assert "store and queue: those of `relance up`, in var/ [REDIS_URL is not set]" in text
    assert "calls: each speaks its message by itself; /webhooks/twilio/voice answers 404 [PUBLIC_URL and " in text
    assert text.endswith("0 problems in the wording\n")
    assert len(relance.json("check", **NOWHERE)["without"]) == 3


def test_it_says_whether_messages_lead_to_a_page(relance: Relance) -> None:
    """And what is missing if they do not; the key is never shown."""
    public, key = {"PUBLIC_URL": "https://relance.example"}, {"RELANCE_SECRET_KEY": "k" * 32}
    off = "debtors' page: no message leads to one; /r and /u answer 404"
    assert f"{off} [PUBLIC_URL and RELANCE_SECRET_KEY are not set]\n" in relance.says("check", **NOWHERE)
    assert f"{off} [RELANCE_SECRET_KEY is not set]\n" in relance.says("check", **NOWHERE, **public)
    assert f"{off} [PUBLIC_URL is not set]\n" in relance.says("check", **NOWHERE, **key)
    text = relance.says("check", **NOWHERE, **public, **key)
    assert "debtors' page: https://relance.example/r/..., and every message leads to it\n" in text
    assert "kkkk" not in text


def test_a_channel_whose_credentials_are_set_uses_its_provider(relance: Relance) -> None:
    """A sandbox reaches nobody; the provider's own host does; the others stay with the outbox."""
    found = relance.json("check", **NOWHERE, **TWILIO)["routes"]
    assert "demo: sms -> twilio_sms (reaches nobody outside)" in found
    assert found[0].startswith("demo: email -> outbox (writes files to var/outbox)")
    real = relance.json("status", **{**TWILIO, "TWILIO_BASE_URL": ""})["routes"]
    assert "demo: voice -> twilio_voice (reaches people)" in real


def test_who_can_be_asked_afterwards_is_said_with_how_far_back(relance: Relance, copy: Copy) -> None:
    """Before anything is lost: whose list tells whether a message went, for how many days, and who keeps none."""
    copy.edit(CHANNELS, "kind: sendgrid_email", "kind: sendgrid_email\n    email_activity: true")
    copy.edit(CHANNELS, "kind: twilio_sms", "kind: twilio_sms\n    list_days: 7")
    mail = {"SENDGRID_API_KEY": "SG.x", "SENDGRID_BASE_URL": "http://127.0.0.1:9", "SMTP_URL": "smtp://127.0.0.1:9"}
    said = relance.says("check", **{**NOWHERE, **TWILIO, **mail, "RELANCE_CONFIG": None})
    assert "sendgrid: says for 3 days whether it took a message\nsmtp: cannot say whether it took a message\n" in said
    assert "twilio_sms: says for 7 days whether it took a message\n" in said
    assert "twilio_voice: says for 390 days whether it took a message\n" in said
    assert "whether it took" not in relance.says("check", **NOWHERE)


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (B2B, "channel: voice", "channel: emial", "ladder.3.channel: 'emial' is not a channel; did you mean 'email'?"),
        (B2B, "when: due - 7d", "when: due - 7", "ladder.0.when: "),
        (DEMO, "business: b2b", "business: b2bb", "strategies.business: 'b2bb' is not a strategy; did you mean 'b2b'?"),
        (
            CHANNELS,
            "kind: twilio_sms",
            "kind: twilio_sms\n    list_days: 13m",
            "twilio_sms: list_days: Input should be",
        ),
        (CHANNELS, "[twilio_sms]", "[smtp]", "channels.sms.providers.0: 'smtp' cannot carry sms"),
        (B2B, "notice: nudge", "notice: nudeg", "notice"),
    ],
)
def test_a_fault_is_named_with_file_and_path(
    relance: Relance, copy: Copy, file: str, old: str, new: str, says: str
) -> None:
    """File, path, what was expected; exit code 1; and the same as JSON."""
    copy.edit(file, old, new)
    said = relance.refuses("check", RELANCE_CONFIG=None, **NOWHERE)
    assert says in said
    if "nudeg" not in new:
        assert said.startswith(f"config/{file}: ")
    result = relance("check", "--json", RELANCE_CONFIG=None, **NOWHERE)
    assert result.exit_code == 1
    assert any(says in problem for problem in json.loads(result.stdout)["problems"])


def test_half_a_set_of_credentials_is_a_mistake(relance: Relance) -> None:
    """An account without its token must not send debtors to the outbox in silence."""
    said = relance.refuses("check", TWILIO_ACCOUNT_SID=TWILIO["TWILIO_ACCOUNT_SID"])
    assert "TWILIO_ACCOUNT_SID is set but TWILIO_AUTH_TOKEN is not" in said


def test_a_secret_in_the_configuration_is_not_repeated(relance: Relance, copy: Copy) -> None:
    """Whoever pastes a token where its variable's name belongs is told so, and not shown it on every screen."""
    token = "0f3cb5e1d9"
    copy.edit(CHANNELS, "kind: twilio_sms", f"kind: twilio_sms\n    auth_token_env: {token}\n    auth_token: {token}")
    said = relance.refuses("check", RELANCE_CONFIG=None, **NOWHERE)
    assert "auth_token_env: Value error, expected the name of an environment variable" in said
    assert "auth_token: not a setting of this kind" in said
    assert token not in said


def test_a_base_url_that_is_none_is_named(relance: Relance) -> None:
    """It says which variable, and not its value, which may hold a password."""
    said = relance.says("status", **{**TWILIO, "TWILIO_BASE_URL": "secret@nowhere"})
    assert "cannot work: TWILIO_BASE_URL: expected a URL" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"TWILIO_BASE_URL": "foo"}, "providers.twilio_sms: cannot work: TWILIO_BASE_URL: expected a URL"),
        ({"SMTP_URL": "mail.example.com"}, "providers.smtp: cannot work: SMTP_URL: expected smtp://"),
        ({"PUBLIC_URL": "ftp://x"}, "PUBLIC_URL: expected a URL like https://host"),
    ],
)
def test_what_cannot_work_fails_the_check(relance: Relance, environ: dict[str, Any], says: str) -> None:
    """A deployment that goes on after `check` must not find out by the first message; the same as JSON."""
    assert says in relance.refuses("check", **NOWHERE, **{**TWILIO, **environ})
    result = relance("check", "--json", **NOWHERE, **{**TWILIO, **environ})
    assert result.exit_code == 1
    assert any(says in problem for problem in json.loads(result.stdout)["problems"])


def test_a_provider_nobody_uses_yet_is_checked_too(relance: Relance, copy: Copy) -> None:
    """Shadow mode is left one day: what would break then is said now."""
    copy.edit(DEMO, "mode: live", "mode: shadow")
    environ = {**NOWHERE, "SMTP_URL": "ftp://x", "RELANCE_CONFIG": str(copy.folder)}
    result = relance("check", **environ)
    assert result.exit_code == 1
    assert result.stdout.endswith(", 1 connection cannot work\n")


@pytest.mark.parametrize(
    ("wording", "broken", "says"),
    [
        (0, 0, "0 problems in the wording"),
        (1, 0, "1 problem in the wording"),
        (2, 1, "2 problems in the wording, 1 connection cannot work"),
        (0, 2, "0 problems in the wording, 2 connections cannot work"),
    ],
)
def test_one_problem_is_one_problem(wording: int, broken: int, says: str) -> None:
    """The last line counts as people do, and speaks of providers where there is something to say."""
    assert verdict("abc", wording, broken) == f"configuration abc: {says}"


# ---- status


def test_status_has_every_row(relance: Relance, rig: Rig) -> None:
    """Clock, configuration, agenda, in flight, queues, uncertain, rejected, tasks, pauses, and who carries what."""
    rig.tap.answers = [Uncertain("timeout", "the answer never came")]
    rig.settle(rig.open())
    relance.says("enqueue", "-", stdin=json.dumps(reminder(job_id="j-2", debtor__id="D-2", invoices__0__number="F-2")))
    relance("enqueue", "-", "--queue", stdin=json.dumps(reminder(job_id="j-3")))
    RejectedJobs(rig.app.client).add(b"x", "bad", "facts")
    relance("pause", "--channel", "voice")
    rows = dict(line.split("\t", 1) for line in relance.says("status").splitlines() if not line.startswith("carries"))
    assert rows["clock"].startswith("rehearsal, 2026-04-01T08:0")
    assert rows["configuration"] == load(ROOT / "config").digest
    assert rows["agenda"].partition(" ")[2].startswith("s behind, next look 2026-04-01T08:0")  # a busy machine lags
    assert (rows["in flight"], rows["uncertain"], rows["rejected jobs"], rows["open tasks"]) == ("0", "1", "1", "0")
    assert rows["queues"] == "reminders 1, facts 0, inbound 0, email 1, sms 0, voice 0, task 0"
    assert rows["paused"] == "demo: channel:voice"
    assert rows["silent"] == "nothing"  # a rehearsal's hours are seconds


def test_status_names_who_is_silent(relance: Relance, make_app: MakeApp) -> None:
    """How many messages did not go, and since when."""
    app = make_app()
    since = app.clock.now() - timedelta(hours=2)
    app.client.zadd(Keys("demo").expected, {"demo-a": millis(since), "demo-b": millis(app.clock.now())})
    rows = dict(line.split("\t", 1) for line in relance.says("status").splitlines() if line.startswith("silent"))
    assert rows["silent"] == f"demo: 1 did not go, the first of {since.isoformat(timespec='minutes')}"


def test_status_says_how_many_stand_in_line(relance: Relance, make_app: MakeApp, copy: Copy) -> None:
    """After an outage somebody will ask why messages go one after another."""
    copy.edit(DEMO, "mode: live", "ramp: 10% per 10m")
    make_app(config=copy.folder).client.zadd(Keys("demo").line, {"demo-a": 1, "demo-b": 2})
    rows = relance.says("status", RELANCE_CONFIG=str(copy.folder)).splitlines()
    assert "in line\tdemo: 2 cases, which go one after another" in rows


def test_status_as_json_is_exact(relance: Relance, make_app: MakeApp) -> None:
    """Every field; durations in seconds; moments with their offset."""
    make_app()
    found = relance.json("status", **TWILIO)
    assert set(found) == set(Status.__dataclass_fields__)
    assert (found["clock"], found["lag"], found["next_look"], found["paused"]) == ("real", 0.0, None, {})
    assert "+00:00" in found["now"]
    assert found["routes"][1] == "demo: sms -> twilio_sms (reaches nobody outside)"


def test_the_lag_is_what_the_agenda_is_behind(relance: Relance, rig: Rig) -> None:
    """A case that nobody looks at for a quarter of an hour shows."""
    case = rig.open()
    looked = rig.next_look(case)
    assert looked is not None
    rig.app.clock.skip_to(looked.replace(minute=looked.minute + 15))  # type: ignore[attr-defined]
    assert 900 <= relance.json("status")["lag"] < 905


# ---- pause and resume


@pytest.mark.parametrize(
    "scope",
    [
        (),
        ("--creditor", "demo"),
        ("--channel", "email"),
        ("--strategy", "b2b"),
        ("--creditor", "demo", "--channel", "email"),
    ],
)
def test_nothing_begins_under_a_pause(relance: Relance, rig: Rig, scope: tuple[str, ...]) -> None:
    """What is reserved already does not leave, nothing new does, and explain says why; resumed, it leaves once."""
    case = rig.open()
    rig.reserve(case)
    assert "calls already begun may still arrive" in relance.says("pause", *scope)
    rig.settle(case)
    assert rig.tap.messages == []
    explained = relance.json("explain", case.id)
    assert (explained["state"], explained["at"]) == ("paused", None)
    assert explained["why"].startswith("paused: ")
    relance.says("resume", *scope)
    rig.jump(rig.app.clock.now().replace(hour=9))
    rig.settle(case)
    assert len(rig.tap.messages) == 1


@pytest.mark.parametrize("scope", [("--channel", "sms"), ("--strategy", "b2c")])
def test_a_pause_covers_its_scope_alone(relance: Relance, rig: Rig, scope: tuple[str, ...]) -> None:
    """Another channel and another strategy go on."""
    relance.says("pause", *scope)
    rig.settle(rig.open())
    assert len(rig.tap.messages) == 1


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("case", "list"),
        ("tasks", "list"),
        ("rejected", "list"),
        ("attempts", "uncertain", "list"),
        ("enqueue", "-"),
    ],
)
def test_every_command_says_that_the_stop_button_is_pressed(relance: Relance, command: tuple[str, ...]) -> None:
    """On standard error, so that what programs read stays clean."""
    assert relance(*command).stderr == ""
    relance.says("pause", "--strategy", "b2b")
    result = relance(*command, "--json")
    assert result.stderr == "PAUSED for demo: strategy:b2b (see `relance resume`)\n"
    json.loads(result.stdout)
    relance.says("resume", "--strategy", "b2b")
    assert relance(*command).stderr == ""


def test_resume_lifts_what_was_paused_and_says_what_was_not(relance: Relance) -> None:
    """Pauses do not lift each other; a resume that lifts nothing is an error that names what is paused."""
    relance.says("pause")
    relance.says("pause", "--channel", "sms")
    assert "channel:email was not paused for demo; paused: all, channel:sms" in relance.refuses(
        "resume", "--channel", "email"
    )
    assert relance.json("resume") == {"resumed": "all", "creditors": ["demo"]}
    assert relance.json("status")["paused"] == {"demo": ["channel:sms"]}


@pytest.mark.parametrize("command", ["pause", "resume"])
@pytest.mark.parametrize("option", ["--creditor", "--channel", "--strategy"])
def test_a_pause_of_what_nobody_configured_is_refused(relance: Relance, command: str, option: str) -> None:
    """A stop button pressed beside the name would stop nothing."""
    assert "'smss' is not known; known: " in relance.refuses(command, option, "smss")


def test_a_creditor_added_later_is_paused_too(relance: Relance, make_app: MakeApp, copy: Copy) -> None:
    """Everything paused means everything, also what is configured afterwards."""
    relance.says("pause")
    shutil.copy(copy.folder / DEMO, copy.folder / "creditors" / "second.yaml")
    copy.edit("creditors/second.yaml", "id: demo", "id: second")
    said = relance("status", "--json", RELANCE_CONFIG=str(copy.folder))
    found: dict[str, Any] = json.loads(said.stdout)
    assert found["paused"] == {"demo": ["all"], "second": ["all"]}


def test_a_creditor_resumed_by_name_stays_resumed(relance: Relance) -> None:
    """Everything was paused; one creditor was resumed; nothing that starts later pauses it again."""
    relance.says("pause", "--channel", "sms")
    relance.says("resume", "--creditor", "demo", "--channel", "sms")
    assert relance.json("status")["paused"] == {}
    relance.says("pause", "--channel", "sms")
    assert relance.json("status")["paused"] == {"demo": ["channel:sms"]}


def test_cases_of_a_creditor_without_a_file_are_shown(relance: Relance, tmp_path: Path) -> None:
    """Its file removed, its open cases are in nobody's hands: the status names it, until they have ended."""
    copy = Copy(tmp_path / "copy")
    shutil.copy(copy.folder / DEMO, other := copy.folder / "creditors" / "other.yaml")
    other.write_text(other.read_text().replace("id: demo", "id: other"))
    both = {"RELANCE_CONFIG": str(copy.folder)}
    relance.says("enqueue", "-", stdin=json.dumps(reminder(creditor="other")), **both)
    assert relance.json("status", **both)["orphaned"] == {}
    kept = other.read_text()
    other.unlink()
    assert relance.json("status", **both)["orphaned"] == {"other": 1}
    assert "other: nobody looks at its open cases (1)" in relance.says("status", **both)
    other.write_text(kept)
    closed = fact("case_closed", creditor="other", invoice="F-2026/001", reason="cancelled")
    relance.says("enqueue", "-", stdin=json.dumps(closed), **both)
    other.unlink()
    assert relance.json("status", **both)["orphaned"] == {}
