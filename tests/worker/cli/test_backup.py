"""`relance export` and `import`: what they print, what they refuse, and who may read what they wrote."""

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.worker.rig import NUMBER, Rig
from worker.commit import Keys

from .conftest import Relance


def test_a_backup_goes_to_a_file_and_back(relance: Relance, rig: Rig, tmp_path: Path) -> None:
    """The file is whole, for its owner alone; what was read in is counted, and what comes next is said."""
    case = rig.open()
    assert relance("export", "--output", "kept.jsonl").stderr == "5 lines, 1 cases\n"
    file = tmp_path / "kept.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "kept.jsonl.part").exists()
    rig.app.client.flushall()
    said = relance.says("import", "kept.jsonl").splitlines()
    assert said[0] == "1 cases, 2 events, 1 open, 0 held, 0 uncertain"
    assert said[1].startswith("Nothing is known after ")
    assert "  demo: email: outbox is asked" in said
    assert said[-1] == "  relance resume --creditor demo"
    assert rig.case(case.id).forgotten_since
    relance.says("resume", "--creditor", "demo")


def test_standard_output_and_input_will_do(relance: Relance, rig: Rig) -> None:
    """For a pipe to whatever encrypts it; programs get JSON."""
    case = rig.open()
    written = relance.says("export", "--creditor", "demo")
    assert json.loads(written.splitlines()[0])["creditors"] == ["demo"]
    assert NUMBER in written
    rig.app.client.flushall()
    done = relance.json("import", "-", stdin=written)
    assert (done["creditors"], done["cases"], done["open"]) == (["demo"], 1, 1)
    assert rig.case(case.id)


def test_how_far_back_a_provider_can_be_asked_is_said(relance: Relance, rig: Rig) -> None:
    """So that whoever reads an old backup in knows of what a person will be asked."""
    rig.open()
    written = relance.says("export")
    rig.app.client.flushall()
    account = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t", "TWILIO_BASE_URL": "http://127.0.0.1:9"}
    said = relance.says("import", "-", stdin=written, **account)
    tells = "twilio_sms is asked, and tells of 390 days; of what may have gone before, a person is asked"
    assert f"  demo: sms: {tells} (relance attempts uncertain list)\n" in said


def test_a_file_of_an_older_copy_is_told_how_old_it_is(relance: Relance, rig: Rig) -> None:
    """Written from a store that was itself put back: what is not known begins when that copy was made."""
    case = rig.open()
    written = relance.says("export")
    rig.app.client.flushall()
    assert "is not a time" in relance.refuses("import", "-", "--since", "2026-01-05", stdin=written)
    relance.says("import", "-", "--since", "2026-01-05T03:00+00:00", stdin=written)
    assert rig.case(case.id).forgotten_since == datetime(2026, 1, 5, 2, 59, tzinfo=UTC)
    assert rig.app.client.hget(Keys("demo").restored, "since") == "2026-01-05T02:59:00+00:00"


def test_what_cannot_be_read_in_is_said_with_its_line(relance: Relance, rig: Rig, tmp_path: Path) -> None:
    """Exit code 2, and nothing was written."""
    rig.open()
    lines = relance.says("export").splitlines(keepends=True)
    (tmp_path / "cut.jsonl").write_text("".join(lines[:-1]))
    assert "cut.jsonl" not in (said := relance.refuses("import", "cut.jsonl", code=2))
    assert said == "line 4: the file ends here, expected a last line `end`: it was cut, or is being written\n"
    (tmp_path / "whole.jsonl").write_text("".join(lines))
    assert "the store knows these creditors already" in relance.refuses("import", "whole.jsonl", code=2)
    assert relance.refuses("import", "gone.jsonl") == "gone.jsonl: cannot be read (FileNotFoundError)\n"
    assert relance.refuses("export", "--output", "no/where") == "no/where: cannot be written (FileNotFoundError)\n"
    assert "'nobody' is not known" in relance.refuses("export", "--creditor", "nobody")


def test_what_is_not_in_the_file_is_said(relance: Relance, rig: Rig) -> None:
    """Damaged histories, kinds of keys of a newer version, what waits in the queue: on standard error, with exit code 1
    where something of the store is missing."""
    case = rig.open()
    relance.says("enqueue", "--queue", "-", stdin=json.dumps({**_job(), "job_id": "q-1"}))
    result = relance("export")
    assert (result.exit_code, "1 jobs and receipts wait in the queue" in result.stderr) == (0, True)
    rig.app.client.rpush(Keys("demo").history(case.id), b"\x01\x00")
    rig.app.client.set(Keys("demo").named("novelty"), "x")
    result = relance("export")
    assert result.exit_code == 1
    assert f"{case.id}: its history is damaged, it is not in the file" in result.stderr
    assert "1 keys of a kind that this version does not know (novelty) are not in the file" in result.stderr


def _job() -> dict[str, object]:
    from tests.worker.payloads import reminder

    return reminder()
