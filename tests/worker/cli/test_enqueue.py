"""`relance enqueue` and `relance schema`: what upstream sends, from a file or a pipe."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator

from tests.conftest import MakeApp
from tests.worker.payloads import fact, reminder
from worker.jobs import SCHEMAS
from worker.jobs.parsing import LARGEST

from .conftest import Relance


def line(**changes: Any) -> str:
    """A reminder as one line."""
    return json.dumps(reminder(**changes)) + "\n"


def owed(relance: Relance) -> list[str]:
    """What each case in the store owes."""
    return [case["owed"] for case in relance.json("case", "list")]


def test_a_file_of_jobs_is_taken_in(relance: Relance, tmp_path: Path) -> None:
    """One object a line; empty lines are nothing."""
    path = tmp_path / "jobs.jsonl"
    path.write_text(line() + "\n   \n" + line(job_id="j-9", debtor__id="D-2", invoices__0__number="F-2"))
    assert relance.says("enqueue", str(path)) == "2 taken, 0 bad\n"
    assert owed(relance) == ["1200.50 EUR", "1200.50 EUR"]


def test_a_bad_row_is_named_and_good_rows_are_committed(relance: Relance, tmp_path: Path) -> None:
    """Each fault stands behind its line's number; what is good around it is taken; the exit code is 1."""
    rows = [line(job_id=f"j-{n}", debtor__id=f"D-{n}", invoices__0__number=f"F-{n}") for n in range(2, 18)]
    path = tmp_path / "jobs.jsonl"
    path.write_text("".join(rows) + line(debtor__phone="0", debtor__kind="alien") + line())
    result = relance("enqueue", str(path))
    assert result.exit_code == 1
    assert "line 17: debtor.phone: not a phone number" in result.stderr
    assert all(said.startswith("line 17: ") for said in result.stderr.splitlines())
    assert result.stdout == "17 taken, 1 bad\n"
    assert len(owed(relance)) == 17


def test_a_job_taken_before_is_counted_apart(relance: Relance) -> None:
    """The same id again is the same job: neither bad nor taken a second time."""
    relance.says("enqueue", "-", stdin=line())
    assert relance.says("enqueue", "-", stdin=line() + line(job_id="j-9")) == "1 taken, 1 taken before, 0 bad\n"
    assert relance.json("enqueue", "-", stdin=line()) == {"taken": 0, "repeated": 1, "bad": 0, "problems": []}


def test_a_fact_is_committed_before_it_returns(relance: Relance) -> None:
    """When the command is back, the payment is in the store, without any worker."""
    paid = json.dumps(fact("payment_received", invoice="F-2026/001", amount="200.50", currency="EUR"))
    relance.says("enqueue", "-", "--queue", stdin=line(job_id="j-9"))
    relance.says("enqueue", "-", stdin=line())
    relance.says("enqueue", "-", "--queue", stdin=paid)
    assert owed(relance) == ["1000.00 EUR"]


def test_the_queue_gets_reminders_on_request(relance: Relance, make_app: MakeApp) -> None:
    """With --queue reminders wait for the workers, as upstream's do; nothing is in the store yet."""
    relance.says("enqueue", "-", "--queue", stdin=line())
    assert make_app().broker.waiting("reminders") == {"reminders": 1}
    assert owed(relance) == []


def test_check_takes_nothing_and_needs_no_store(relance: Relance) -> None:
    """--check validates only: it works where nothing runs, and tells good from bad."""
    result = relance("enqueue", "-", "--check", stdin=line() + line(version=2), REDIS_URL=None, BROKER_URL=None)
    assert (result.exit_code, result.stdout) == (1, "1 good, 1 bad\n")
    assert result.stderr.startswith("line 2: version: ")
    assert owed(relance) == []


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (b"\xff\xfe{}\n", "line 1: not UTF-8"),
        (b'{"type": "reminder_due", "job_id": "\xe9"}\n', "line 1: not UTF-8"),
        (b"nonsense\n", "line 1: not JSON"),
        (b"[" * 100_000 + b"\n", "line 1: not JSON"),
        (b"[1]\n", "line 1: not an object"),
        (b'{"type": "reminder"}\n', "line 1: type: not a type of job"),
        (b'"' + b"x" * 10_000_000 + b'"\n', "line 1: not an object"),
    ],
)
def test_input_of_any_kind_is_named_and_the_rest_taken(relance: Relance, bad: bytes, says: str) -> None:
    """Bytes that are no text, no JSON or no object spoil their own line and no other."""
    result = relance("enqueue", "-", stdin=bad + line().encode())
    assert result.exit_code == 1
    assert result.stderr.startswith(says)
    assert result.stdout == "1 taken, 1 bad\n"


def test_a_line_of_ten_megabytes_is_refused_as_too_large(relance: Relance) -> None:
    """A job that is a job but for its size is refused for its size."""
    result = relance("enqueue", "-", stdin=line(debtor__name="x" * 10_000_000))
    assert result.exit_code == 1
    assert result.stderr == f"line 1: larger than {LARGEST} bytes\n"


def test_a_byte_order_mark_does_no_harm(relance: Relance) -> None:
    """Files saved on Windows begin with one."""
    assert relance.says("enqueue", "-", stdin=b"\xef\xbb\xbf" + line().encode()) == "1 taken, 0 bad\n"


def test_a_job_twice_is_one_job(relance: Relance) -> None:
    """The same file can be given again after a doubt."""
    relance.says("enqueue", "-", stdin=line() + line())
    relance.says("enqueue", "-", stdin=line())
    assert len(owed(relance)) == 1


def test_a_file_that_is_not_there_is_named(relance: Relance) -> None:
    """A typing error in the name is said, with the code for wrong usage."""
    assert "nowhere.jsonl: no such file" in relance.refuses("enqueue", "nowhere.jsonl", code=2)


def test_the_counts_come_as_json(relance: Relance) -> None:
    """Programs read how many were taken and what is wrong with the others."""
    result = relance("enqueue", "-", "--json", stdin=line() + "x\n")
    assert json.loads(result.stdout) == {"taken": 1, "repeated": 0, "bad": 1, "problems": ["line 2: not JSON"]}
    assert result.exit_code == 1


@pytest.mark.parametrize("kind", SCHEMAS)
def test_each_type_has_a_json_schema(relance: Relance, kind: str) -> None:
    """`relance schema TYPE` prints a schema that is one, and unknown fields are errors in it."""
    schema = json.loads(relance.says("schema", kind))
    OAS31Validator.check_schema(schema)
    assert schema["additionalProperties"] is False


def test_the_schema_knows_a_good_job_from_a_bad_one(relance: Relance) -> None:
    """What the door takes in the schema takes, and a missing field it does not."""
    validator = OAS31Validator(json.loads(relance.says("schema", "reminder_due")))
    assert validator.is_valid(reminder())
    assert not validator.is_valid(reminder(debtor__id=...))


def test_the_schema_of_an_unknown_type_names_the_types(relance: Relance) -> None:
    """Exit code 1, and what there is."""
    assert "reminder_due, payment_received" in relance.refuses("schema", "reminder")
