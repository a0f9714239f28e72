"""SendGrid's Email Activity: what the account says it has sent."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from python_http_client.exceptions import HTTPError
from sendgrid.helpers.mail import CustomArg, To

from channels.sandbox import Doors, Listing, Sandbox
from tests.conftest import ROOT

from .clients import mail, sendgrid_client
from .conftest import Events
from .receiver import Receiver

PATH = "/v3/messages"


@pytest.fixture
def sandbox(log: Any) -> Iterator[Sandbox]:
    with Sandbox(log, email_activity=True) as sandbox:
        yield sandbox


def found(sendgrid: Any, query: str, **more: Any) -> list[dict[str, Any]]:
    """What SendGrid's own client is shown."""
    answer = sendgrid.client.messages.get(query_params={"query": query, **more})
    return list(answer.to_dict["messages"])


def refused(sendgrid: Any, query: str, **more: Any) -> tuple[int, list[dict[str, Any]]]:
    with pytest.raises(HTTPError) as caught:
        found(sendgrid, query, **more)
    return int(caught.value.status_code), list(caught.value.to_dict["errors"])


def test_an_email_is_found_by_its_attempt(sendgrid: Any) -> None:
    """The custom arguments of a send are what it is found by, the other attempts are not shown, and the id begins ours.

    The fields are those of SendGrid's OpenAPI.
    """
    ids = [sendgrid.send(mail(attempt=f"att-{number}")).headers["X-Message-Id"] for number in range(3)]
    [shown] = found(sendgrid, "unique_args['relance_attempt']=\"att-1\"")
    assert shown.pop("msg_id").split(".")[0] == ids[1]
    assert shown.pop("last_event_time").endswith("Z")
    assert shown == {
        "from_email": "billing@creditor.test",
        "to_email": "ana@debtor.test",
        "subject": "Facture F-1",
        "status": "processed",
        "opens_count": 0,
        "clicks_count": 0,
    }
    assert found(sendgrid, "unique_args['relance_attempt']=\"att-9\"") == []


def test_every_argument_and_person_counts(sendgrid: Any) -> None:
    """Another argument finds it too, conditions are ANDed with or without parentheses, and each recipient is one."""
    whole = mail("ana@debtor.test")
    whole.personalizations[0].add_custom_arg(CustomArg("relance_message", "mes-1"))
    whole.personalizations[0].add_to(To("ben@debtor.test"))
    sendgrid.send(whole)
    sendgrid.send(mail("ana@debtor.test", "att-2"))
    by_message = "unique_args['relance_message']=\"mes-1\""
    assert [each["to_email"] for each in found(sendgrid, by_message)] == ["ben@debtor.test", "ana@debtor.test"]
    assert len({each["msg_id"] for each in found(sendgrid, by_message)}) == 2
    for query in (f'{by_message} AND to_email="ana@debtor.test"', f"(to_email='ana@debtor.test') AND ({by_message})"):
        assert [each["to_email"] for each in found(sendgrid, query)] == ["ana@debtor.test"]
    assert len(found(sendgrid, 'from_email="billing@creditor.test"')) == 3


def test_an_email_is_found_by_what_its_answer_said(sendgrid: Any) -> None:
    """X-Message-Id and a wildcard, as SendGrid's support has it; a quote inside is escaped."""
    message_id = sendgrid.send(mail()).headers["X-Message-Id"]
    sendgrid.send(mail(attempt='at"t'))
    [shown] = found(sendgrid, f"msg_id LIKE '{message_id}%'")
    assert [shown] == found(sendgrid, f'msg_id="{shown["msg_id"]}"')
    assert len(found(sendgrid, 'unique_args[\'relance_attempt\']="at\\"t"')) == 1


def test_the_newest_come_first_and_so_many(sendgrid: Any) -> None:
    """Ten unless asked for more or fewer."""
    ids = [sendgrid.send(mail(attempt=f"att-{number}")).headers["X-Message-Id"] for number in range(12)]
    shown = [each["msg_id"].split(".")[0] for each in found(sendgrid, 'to_email="ana@debtor.test"')]
    assert shown == ids[:1:-1]
    assert len(found(sendgrid, 'to_email="ana@debtor.test"', limit=3)) == 3
    assert len(found(sendgrid, 'to_email="ana@debtor.test"', limit=1000)) == 12


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ('bad_field="x"', "invalid syntax: 'bad_field' is not a known field"),
        ('unique_args="x"', "incompatible"),
        ("to_email['x']=\"y\"", "incompatible"),
        ('to_email>"x"', "expected a condition"),
        ("to_email=ana@debtor.test", "expected a condition"),
        ('to_email="x" OR to_email="y"', "expected a condition"),
        ('(to_email="x"', "expected a condition"),
        ('to_email="x" AND', "nothing follows AND"),
        ('to_email="x', "expected a condition"),
    ],
)
def test_a_query_that_is_none_is_refused(sendgrid: Any, query: str, complaint: str) -> None:
    """What Email Activity or the sandbox cannot read is a 400 that says so, never an empty list."""
    status, [error] = refused(sendgrid, query)
    assert status == 400
    assert complaint in error["message"]
    assert error["field"] == "query"


@pytest.mark.parametrize("limit", ["0", "1001", "ten"])
def test_a_limit_out_of_range_is_refused(sendgrid: Any, limit: str) -> None:
    """From 1 to 1000."""
    assert refused(sendgrid, 'to_email="x"', limit=limit)[0] == 400


def test_without_the_add_on_there_is_nothing_to_ask() -> None:
    """An account that did not buy it is told 400, "authorization required", as such accounts report."""
    with Sandbox() as sandbox:
        sendgrid = sendgrid_client(sandbox.sendgrid_url)
        sendgrid.send(mail())
        assert refused(sendgrid, 'to_email="x"') == (400, [{"message": "authorization required"}])
        assert requests.get(f"{sandbox.sendgrid_url}{PATH}", timeout=5).status_code == 401


def test_an_email_can_be_listed_late(sandbox: Sandbox, sendgrid: Any, events: Events) -> None:
    """Lists lag behind here too, and the log tells what was asked and how many there were."""
    sandbox.list_late(Listing("email", times=1))
    for attempt in ("att-1", "att-2"):
        sendgrid.send(mail(attempt=attempt))
        found(sendgrid, f'unique_args[\'relance_attempt\']="{attempt}" AND to_email="ana@debtor.test"')
    first, second = events("listed")
    assert (first["count"], second["count"]) == (0, 1)
    assert (second["provider"], second["channel"], second["to"]) == ("sendgrid", "email", "ana@debtor.test")
    assert "att-2" in second["query"]


@pytest.mark.parametrize(("to", "status"), [("ana@debtor.test", "delivered"), ("ana@gone.invalid", "not_delivered")])
def test_the_activity_follows_the_events(
    sandbox: Sandbox, sendgrid: Any, receiver: Receiver, to: str, status: str
) -> None:
    """What the webhook tells, the list knows too, under the same id."""
    sandbox.report_to(Doors.under(receiver.url))
    sendgrid.send(mail(to))
    [got] = receiver.wait(1)
    [shown] = found(sendgrid, f'to_email="{to}"')
    assert shown["status"] == status
    assert {each["sg_message_id"] for each in got.events} == {shown["msg_id"]}


def test_the_contracts_are_not_asked_about_it(log: Any) -> None:
    """Where requests are held against the OpenAPI files, which do not describe it, it is served all the same."""
    with Sandbox(log, validate=ROOT / "tests" / "contracts", email_activity=True) as sandbox:
        assert found(sendgrid_client(sandbox.sendgrid_url), 'to_email="x"') == []
