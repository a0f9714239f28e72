"""`relance rejected`: what could not be taken is kept whole, and can be tried again or dropped."""

import json
from datetime import UTC, datetime

import dramatiq
import pytest

from tests.conftest import MakeApp
from tests.worker.payloads import fact, reminder
from worker.rejected import RejectedJobs

from .conftest import Relance


@pytest.fixture
def rejected(make_app: MakeApp) -> RejectedJobs:
    """The list."""
    return RejectedJobs(make_app().client)


def message(job: object, sent: datetime = datetime(2026, 4, 1, 9, tzinfo=UTC)) -> bytes:
    """A job as dramatiq's bytes, enqueued then."""
    stamp = int(sent.timestamp() * 1000)
    return dramatiq.Message(
        queue_name="reminders", actor_name="x", args=(), kwargs={"job": job}, options={}, message_timestamp=stamp
    ).encode()


def test_the_list_has_the_reason_and_no_payload(relance: Relance, rejected: RejectedJobs) -> None:
    """The list can be read over a shoulder; `show` cannot, and gives what arrived."""
    job_id = rejected.add(b'{"name": "Exemple SARL"}', "version: 2", "reminders")
    assert "Exemple" not in relance.says("rejected", "list")
    (entry,) = relance.json("rejected", "list")
    assert (entry["id"], entry["queue"], entry["reason"], entry["bytes"]) == (job_id, "reminders", "version: 2", 24)
    assert datetime.fromisoformat(entry["at"]).tzinfo is not None
    assert relance.says("rejected", "show", job_id) == '{"name": "Exemple SARL"}\n'
    assert relance.json("rejected", "show", job_id)["payload"] == '{"name": "Exemple SARL"}'


def test_an_empty_list_says_so(relance: Relance) -> None:
    """Nothing rejected is said in words, and is an empty list for programs."""
    assert relance.says("rejected", "list") == "No job was rejected.\n"
    assert relance.json("rejected", "list") == []


def test_bytes_that_are_no_text_can_be_shown(relance: Relance, rejected: RejectedJobs) -> None:
    """Whatever arrived is shown, escaped where it is no text."""
    job_id = rejected.add(b"\xff\x00ok", "not a dramatiq message", "facts")
    assert relance.says("rejected", "show", job_id) == "\\xff\x00ok\n"


@pytest.mark.parametrize("wrapped", [True, False])
def test_what_can_be_taken_now_leaves_the_list(relance: Relance, rejected: RejectedJobs, wrapped: bool) -> None:
    """A message of dramatiq's and a bare job are both retried as they are, once somebody mended the cause."""
    job = reminder()
    job_id = rejected.add(message(job) if wrapped else json.dumps(job).encode(), "unknown creditor", "reminders")
    assert relance.says("rejected", "retry", job_id) == "taken\n"
    assert relance.json("rejected", "list") == []
    assert [case["owed"] for case in relance.json("case", "list")] == ["1200.50 EUR"]


def test_a_retried_job_keeps_the_time_it_was_enqueued(relance: Relance, rejected: RejectedJobs) -> None:
    """A reminder that lay in the list does not override the payment that came in meanwhile."""
    late = message(reminder(as_of=..., job_id="j-7"), datetime(2026, 3, 31, 8, tzinfo=UTC))
    job_id = rejected.add(late, "unknown creditor", "reminders")
    relance.says("enqueue", "-", stdin=json.dumps(reminder()))
    paid = fact("payment_received", invoice="F-2026/001", amount="1200.50", currency="EUR")
    relance.says("enqueue", "-", stdin=json.dumps(paid))
    relance.says("rejected", "retry", job_id)
    (case,) = relance.json("case", "list", "--ended")
    assert (case["owed"], case["state"]) == ("0 EUR", "open")


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (message(reminder(version=2)), "version: "),
        (b"\xff", "not JSON: it can only be dropped"),
        (b"[" * 100_000, "not JSON: it can only be dropped"),
        (b'{"kwargs": {"job": {}}, "message_timestamp": 1e400}', "type: required"),
        (b'{"kwargs": {"job": {}}, "message_timestamp": 99999999999999999999}', "type: required"),
    ],
)
def test_what_is_still_bad_stays(relance: Relance, rejected: RejectedJobs, payload: bytes, says: str) -> None:
    """Retrying what cannot be taken says why, with exit code 1, and loses nothing."""
    job_id = rejected.add(payload, "bad", "reminders")
    assert relance.refuses("rejected", "retry", job_id).startswith(says)
    found = rejected.get(job_id)
    assert found is not None
    assert found.payload == payload


def test_drop_forgets_it(relance: Relance, rejected: RejectedJobs) -> None:
    """What is dropped is gone, and nothing else is."""
    first, second = rejected.add(b"1", "bad", "facts"), rejected.add(b"2", "bad", "facts")
    assert relance.json("rejected", "drop", first) == {"dropped": first}
    assert [entry["id"] for entry in relance.json("rejected", "list")] == [second]


@pytest.mark.parametrize("verb", ["show", "retry", "drop"])
def test_an_unknown_id_is_named(relance: Relance, verb: str) -> None:
    """Exit code 1, and where the ids are."""
    assert relance.refuses("rejected", verb, "abc") == (
        "there is no rejected job 'abc' (see `relance rejected list`)\n"
    )
