"""The demo: what it shows, from the event stream alone; and that killing everything in the middle only delays it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from worker.app import App, Rehearsal
from worker.demo import BEGINS, EXAMPLES, OPERATOR, SPEED, playing, running, stage
from worker.dunning.model import Case
from worker.processes import supervised
from worker.watch import RECEIPT_WORDS

from .programs import environment, living, sweep, until

LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d)  (.{24})  (.*)")


class Shown:
    """What one run of the demo printed, read line by line, and what the sandbox accepted meanwhile."""

    def __init__(self, process: "subprocess.CompletedProcess[str]", sandbox: list[dict[str, Any]]) -> None:
        self.process = process
        self.sandbox = sandbox
        live, _, self.table = process.stdout.partition("\n\n")
        found = [LINE.fullmatch(line) for line in live.splitlines()]
        assert all(found), process.stdout
        self.live = [(m[1], m[2].strip(), m[3]) for m in found if m]

    def of(self, debtor: str) -> list[str]:
        """What happened to one debtor, in order."""
        return [words for _, name, words in self.live if name == debtor]

    def rows(self, debtor: str) -> list[str]:
        """The lines of the table at the end about one debtor."""
        return [line for line in self.table.splitlines() if f"  {debtor}  " in line]

    def accepted(self, address: str) -> list[dict[str, Any]]:
        """What the sandbox accepted for an address."""
        return [entry for entry in self.sandbox if entry["to"] == address]


def accepted(log: Path) -> list[dict[str, Any]]:
    """What a sandbox's log says it accepted."""
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [line for line in lines if line["event"] == "accepted"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """One run of `relance demo`, in an environment that holds somebody's real credentials and store."""
    folder = tmp_path_factory.mktemp("demo")
    theirs = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t", "REDIS_URL": "redis://127.0.0.1:1"}
    kept = folder / "sandbox.jsonl"
    command = [sys.executable, "-m", "worker.main", "demo", "--log", str(kept)]
    process = subprocess.run(
        command,
        env=supervised(environment(**theirs)),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    yield Shown(process, accepted(kept))
    sweep(folder)


def test_it_ends_well(shown: Shown) -> None:
    """Exit code 0, nothing on standard error, no colour codes where no terminal is, under a minute of output."""
    assert (shown.process.returncode, shown.process.stderr) == (0, "")
    assert "\x1b" not in shown.process.stdout


def test_it_prints_what_the_readme_shows(shown: Shown) -> None:
    """Every line of the README's excerpt, to the word; the minute may differ."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (excerpt,) = re.findall(r"^```text\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    printed = {re.sub(r" \d\d:\d\d ", " ", line) for line in shown.process.stdout.splitlines()}
    assert {re.sub(r" \d\d:\d\d ", " ", line) for line in excerpt.splitlines()} <= printed


def test_one_pays_after_the_first_reminder(shown: Shown) -> None:
    """And hears nothing more."""
    told = shown.of("Librairie du Port")
    assert [words.split()[0] for words in told[1:3]] == ["courtesy", "first_reminder"]
    assert told[3:] == ["payment received: 480.00 for F-2026-101", "the end: paid"]
    assert len(shown.accepted("compta@librairie.example")) == 2


def test_one_never_answers_and_climbs_to_the_handover(shown: Shown) -> None:
    """Email, SMS, call, letter, notice, handover, in the strategy's order; approvals say who gave them."""
    told = shown.of("Menuiserie des Halles")
    steps = list(dict.fromkeys(words.split()[0] for words in told[1:] if not words.startswith("held: ")))
    assert steps == [
        "courtesy",
        "first_reminder",
        "sms_reminder",
        "call",
        "second_reminder",
        "second_call",
        "human_call",
        "formal_notice",
        "last_word",
        "handover",
    ]
    for step in ("formal_notice", "handover"):
        assert re.fullmatch(
            f"{step} +approved by {OPERATOR}", told[told.index(f"held: a person must approve the step ({step})") + 1]
        )
    assert re.fullmatch("handover +handed over to: lawyer", told[-1])
    assert any(f"approved by {OPERATOR}" in row for row in shown.rows("Menuiserie des Halles"))


def test_a_refused_email_becomes_an_sms_the_same_day(shown: Shown) -> None:
    """At once, and from then on nothing is tried at the address that refused."""
    day, sms = next((at, words) for at, name, words in shown.live if name == "Garage des Quais" and " sms " in words)
    refused = next((at, words) for at, name, words in shown.live if name == "Garage des Quais" and "refused" in words)
    assert "courtesy" in sms
    assert refused == (day, "courtesy         email  refused: address (400)")
    assert shown.accepted("ancienne-adresse@bounce.invalid") == []
    assert sum("refused" in words for words in shown.of("Garage des Quais")) == 1


def test_one_without_a_phone_is_written_to(shown: Shown) -> None:
    """The steps that would go by SMS or call go by email."""
    told = shown.of("Studio Sans Fil")
    assert not [words for words in told if re.match(r"\S+ +(sms|voice) ", words)]
    assert [words for words in told if re.match("sms_reminder +email ", words)]
    assert [words for words in told if re.match("call +email ", words)]


def test_a_consumer_reads_nothing_of_penalties(shown: Shown) -> None:
    """No penalty, no 40 EUR, in nothing that was accepted for them; businesses do read it."""
    theirs = [*shown.accepted("client@exemple.example"), *shown.accepted("+33639980105")]
    assert len(theirs) == 4
    clause = re.compile(r"pénalité|40\s*(€|EUR)|indemnité", re.IGNORECASE)
    assert not [entry["text"] for entry in theirs if clause.search(entry["subject"] + entry["text"])]
    assert [entry for entry in shown.accepted("contact@menuiserie.example") if clause.search(entry["text"])]


def test_two_invoices_come_in_one_message(shown: Shown) -> None:
    """With both numbers; once one is paid, the other alone is left."""
    first, *later = [
        entry for entry in shown.accepted("accounts@harbour.example") if "past their due date" in entry["subject"]
    ]
    assert "F-2026-106" in first["text"]
    assert "F-2026-107" in first["text"]
    assert later == []
    (sms,) = shown.accepted("+447700900106")[:1]
    assert "F-2026-107" in sms["text"]
    assert "F-2026-106" not in sms["text"]


def after(told: list[str], words: str) -> list[str]:
    """What happened to a debtor from that line on."""
    found = [index for index, line in enumerate(told) if line.startswith(words)]
    assert found, told
    return told[found[0] :]


def test_one_promises_by_key_and_keeps_it(shown: Shown) -> None:
    """The recap leaves although the promise holds the case, and nothing else; the money comes, the promise is kept."""
    told = after(shown.of("Garage des Quais"), "answer by call: will pay on 2026-04-17")
    steps = [line for line in told if re.match(r"\w+ +(email|sms|voice|task) ", line)]
    (recap,) = [line for line in steps if RECEIPT_WORDS["answered"] not in line]
    assert recap.startswith("recap ")
    assert told[-3:] == ["payment received: 725.50 for F-2026-103", "the promise was kept", "the end: paid"]


def test_one_promises_by_key_and_breaks_it(shown: Shown) -> None:
    """Two business days after the date the next step comes, one tone firmer."""
    told = after(shown.of("Fleurs du Canal"), "answer by call: will pay on 2026-04-13")
    later = after(told, "the promise was broken")
    assert not [line for line in told[: -len(later)] if re.match(r"(second|formal)_", line)]
    assert any("la date convenue est passée" in line for line in later)
    assert later[-1] == "the end: paid"


def test_one_says_stop(shown: Shown) -> None:
    """No SMS any more; what comes next comes by other channels."""
    told = after(shown.of("Boulangerie du Pont"), "answer by sms: wants no more of these")
    assert "no more by sms: opted_out (sms)" in told
    assert not [line for line in told if re.match(r"\w+ +sms ", line)]
    assert {"call", "second_reminder"} <= {line.split()[0] for line in told}


def test_one_disputes_on_the_page(shown: Shown) -> None:
    """The link of the email leads there; from then on nothing is sent, a person is told, and billing settles it."""
    told = after(shown.of("Hôtel de la Plage"), "answer by page: disputes it")
    assert told == [
        "answer by page: disputes it",
        "held: the debtor disputes it",
        "a task for a person: dispute",
        "the end: credited",
    ]


def test_one_replies_by_email(shown: Shown) -> None:
    """ "Paid this morning": five business days for the bank, and the money comes."""
    told = after(shown.of("Clinique du Parc"), "answer by email: says it is paid")
    assert told == [
        "answer by email: says it is paid",
        "held: the debtor says it is paid; the bank is given time",
        "payment received: 257.40 for F-2026-111",
        "the end: paid",
    ]


def test_the_table_has_a_line_for_each_message(shown: Shown) -> None:
    """Date, debtor, step, channel, words, and what came of it: every message accepted, by every channel."""
    rows = [line.split("  ") for line in shown.table.splitlines() if line]
    by_provider = [row for row in rows if row[3] in ("email", "sms", "voice") and "refused" not in row[-1]]
    assert len(by_provider) == len(shown.sandbox)
    assert {row[3] for row in rows} >= {"email", "sms", "voice", "task", "-"}


def test_no_message_is_accepted_twice(shown: Shown) -> None:
    """Every attempt once, every email's Message-ID once."""
    attempts = [entry["attempt"] for entry in shown.sandbox if entry["attempt"]]
    mails = [entry["message_id"] for entry in shown.sandbox if entry["message_id"]]
    assert len(set(attempts)) == len(attempts)
    assert len(set(mails)) == len(mails)


def test_killing_everything_in_the_middle_only_delays_it(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Supervisor and workers get SIGKILL: nothing more leaves. Started again, the ladder goes on to its end, once."""
    folder = tmp_path_factory.mktemp("killed")
    jobs = tmp_path / "jobs.jsonl"
    jobs.write_text("".join(line for line in EXAMPLES.read_text().splitlines(keepends=True) if "C-1004" in line))
    with stage(folder) as environ, (tmp_path / "up.log").open("wb") as log, _played(environ) as app:
        sandbox = folder / "sandbox.jsonl"
        with running(environ, log) as up:
            command = [sys.executable, "-m", "worker.main", "enqueue", "--queue", str(jobs)]
            subprocess.run(command, env=environ, check=True, timeout=90, capture_output=True)
            (case_id,) = until(lambda: list(app.cases.case_ids("demo")))
            # Not within a call: that message would rightly wait for a person (`test_crashes.py` has those).
            until(lambda: len(accepted(sandbox)) >= 3 and not list(_case(app, case_id).open_sends()))
            for pid in [*_children(up.pid), up.pid]:
                os.kill(pid, signal.SIGKILL)
            up.wait(10)
        before = accepted(sandbox)
        time.sleep(1.0)
        assert accepted(sandbox) == before
        with running(environ, log):
            until(lambda: _case(app, case_id).ended, 60)
        after = accepted(sandbox)
    assert len(after) > len(before)
    for identity in ("attempt", "message_id", "subject"):
        assert len({entry[identity] for entry in after}) == len(after)
    assert living(folder) == {}


def _case(app: App, case_id: str) -> Case:
    stored = app.cases.load(case_id)
    assert stored is not None
    return stored.case


@contextmanager
def _played(environ: dict[str, str]) -> Iterator[App]:
    app = App(environ, Rehearsal(datetime.fromisoformat(BEGINS), SPEED))
    with playing(app):
        yield app


def _children(parent: int) -> list[int]:
    """The processes whose parent that is."""
    stats = (
        (entry, (entry / "stat").read_text()) for entry in Path("/proc").glob("[0-9]*") if (entry / "stat").exists()
    )
    return [int(entry.name) for entry, stat in stats if int(stat.rpartition(")")[2].split()[1]) == parent]
