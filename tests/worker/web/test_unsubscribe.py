"""One click takes a mailbox off, and nothing but a click does."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest

from tests.conftest import MakeApp
from tests.worker.payloads import fact, reminder
from tests.worker.rig import NUMBER
from worker.links import GOOD_FOR
from worker.messages import prepare
from worker.suppression import listed

from .served import Doors
from .visitor import Visitor, visiting

CLICK = b"List-Unsubscribe=One-Click"
PARTS = (
    b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
    {"Content_Type": "multipart/form-data; boundary=x"},
)
#: As a mail provider's server posts it: no origin, no site.
SERVER = {"Origin": "", "Sec_Fetch_Site": ""}


@pytest.fixture
def visitor(make_app: MakeApp) -> Iterator[Visitor]:
    """The first reminder has left, by email."""
    with visiting(make_app) as visitor:
        yield visitor


def suppressed(visitor: Visitor) -> list[tuple[str, str, str]]:
    """What is on the list: channel, why, by whom."""
    return [(entry.channel, entry.why, entry.by) for entry in listed(visitor.app, "demo")]


@pytest.mark.parametrize(("body", "headers"), [(CLICK, {}), PARTS], ids=["urlencoded", "multipart"])
def test_one_click_takes_the_mailbox_off(visitor: Visitor, body: bytes, headers: dict[str, str]) -> None:
    """With the URL of the very header that the reminder bore; the next step goes by another channel."""
    run = visitor.case.runs[0]
    sent = prepare(visitor.app, visitor.case, run, "email", 1, visitor.app.clock.now()).message.headers
    path = sent["List-Unsubscribe"].strip("<>").removeprefix(visitor.base)
    assert sent["List-Unsubscribe-Post"].encode() == CLICK
    for _ in range(2):
        page = visitor.post(path, body, **SERVER, **headers)
        assert page.status == 200
        assert "Vous ne recevrez plus de courriels" in page.text
        assert visitor.said() == ["opt_out"]
    assert suppressed(visitor) == [("email", "opted_out", "email")]
    assert visitor.on(date(2026, 4, 7)) == ["email", "sms"]


def test_a_get_shows_the_button_and_takes_nobody_off(visitor: Visitor) -> None:
    """Scanners follow links; people press."""
    path = f"/u/{visitor.token('u')}"
    page = visitor.ask("GET", path)
    assert '<button name="List-Unsubscribe" value="One-Click">Ne plus recevoir de courriels</button>' in page.source
    assert NUMBER not in page.source
    assert visitor.said() == []


@pytest.mark.parametrize("body", [b"", b"List-Unsubscribe=yes", b"unsubscribe=One-Click", b"{}", b"\xff" * 50])
def test_a_post_that_is_no_click_shows_the_button(visitor: Visitor, body: bytes) -> None:
    """Nothing is taken from a body that says nothing."""
    page = visitor.post(f"/u/{visitor.token('u')}", body, **SERVER)
    assert page.status == 400
    assert "One-Click" in page.source
    assert visitor.said() == []


def test_whoever_came_back_can_leave_again(visitor: Visitor) -> None:
    """By the same old mail: a click counts once, until they have asked for emails again."""
    path = f"/u/{visitor.token('u')}"
    visitor.post(path, CLICK)
    visitor.send("opt_in", channel="email")
    assert suppressed(visitor) == []
    visitor.post(path, CLICK)
    visitor.post(path, CLICK)
    assert visitor.said() == ["opt_out", "opt_in", "opt_out"]
    assert suppressed(visitor) == [("email", "opted_out", "email")]


@pytest.mark.parametrize("reason", ["paid", "cancelled"])
def test_it_works_when_the_case_is_over(visitor: Visitor, reason: str) -> None:
    """The next case of that debtor does not use the mailbox either."""
    visitor.rig.take(fact("case_closed", case=visitor.case.id, reason=reason))
    assert visitor.post(f"/u/{visitor.token('u')}", CLICK).status == 200
    assert suppressed(visitor) == [("email", "opted_out", "email")]
    again = visitor.rig.open(job_id="j-5", debtor__phone="+33639980101", invoices__0__number="F-2026/555")
    visitor.case = visitor.rig.case(again.id)
    visitor.rig.settle(again)
    assert visitor.on(date(2026, 4, 8)) == ["email", "sms"]


def test_the_mailbox_that_clicked_is_meant_and_no_other(visitor: Visitor) -> None:
    """Upstream corrected it since: the new one still gets emails."""
    path = f"/u/{visitor.token('u')}"
    visitor.rig.take(reminder(job_id="j-9", as_of="2026-04-02T09:00:00+02:00", debtor__email="new@example.com"))
    assert visitor.post(path, CLICK).status == 200
    assert (visitor.said(), suppressed(visitor)) == ([], [])


def test_a_link_that_is_no_unsubscribe_link_takes_nobody_off(visitor: Visitor) -> None:
    """Another purpose's, an expired one, one made up."""
    old = visitor.token("u", today=datetime.now(UTC).date() - GOOD_FOR - timedelta(days=1))
    before = Doors(visitor.app, visitor.port).kept()
    assert [visitor.post(f"/u/{token}", CLICK).status for token in (visitor.token("r"), old, "x")] == [404, 410, 404]
    assert Doors(visitor.app, visitor.port).kept() == before
