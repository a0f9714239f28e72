"""Lists that lag behind, lists that fail, and what the log tells of those who asked."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from python_http_client.exceptions import HTTPError
from twilio.base.exceptions import TwilioException

from channels.sandbox import Fault, Listing, Sandbox

from .clients import mail, sendgrid_client, twilio_client
from .conftest import Events

TO, FROM = "+33612345678", "Creditor"


def text(twilio: Any, to: str = TO) -> Any:
    return twilio.messages.create(to=to, from_=FROM, body="Bonjour")


def listed(twilio: Any) -> list[str]:
    return [each.sid for each in twilio.messages.list(to=TO)]


def goes(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except TwilioException:
        return False
    return True


def test_a_message_can_be_listed_late(sandbox: Sandbox, twilio: Any) -> None:
    """A list does not show it for so long and then does; a fetch by sid finds it at once."""
    sandbox.list_late(Listing("sms", seconds=0.5))
    start = time.monotonic()
    message = text(twilio)
    assert twilio.messages(message.sid).fetch().sid == message.sid
    while not (found := listed(twilio)) and time.monotonic() < start + 10:
        time.sleep(0.01)
    assert found == [message.sid]
    assert time.monotonic() - start >= 0.5


def test_late_entries_are_narrow(sandbox: Sandbox, twilio: Any) -> None:
    """Each second one to some addresses, on one channel; the rest is listed at once."""
    sandbox.list_late(Listing("sms", to="+336*", every=2))
    sids = [text(twilio).sid for _ in range(4)]
    other = text(twilio, "+4915123456789").sid
    call = twilio.calls.create(to=TO, from_="+33123456789", twiml="<Response/>")
    assert listed(twilio) == [sids[2], sids[0]]
    assert [each.sid for each in twilio.messages.list(to="+4915123456789")] == [other]
    assert [each.sid for each in twilio.calls.list(to=TO)] == [call.sid]


def test_late_entries_can_be_ordered_every_way(sandbox: Sandbox, twilio: Any) -> None:
    """At construction, over HTTP from another process, and taken back; what is late already stays so."""
    with Sandbox(listings=[Listing()]) as another:
        text(twilio_client(another.twilio_url))
        assert listed(twilio_client(another.twilio_url)) == []
    url = f"{sandbox.sendgrid_url}/sandbox/listings"
    assert requests.post(url, data="{channel: sms, seconds: 60}", timeout=5).json() == {"ordered": 1}
    text(twilio)
    assert requests.delete(url, timeout=5).status_code == 204
    sids = [text(twilio).sid]
    assert listed(twilio) == sids
    sandbox.list_late(Listing(seconds=60))
    sandbox.clear()
    sids.insert(0, text(twilio).sid)
    assert listed(twilio) == sids
    assert requests.post(url, data="{seconds: soon}", timeout=5).status_code == 400


def test_what_is_listed_late_is_in_the_log(log: Any, events: Events) -> None:
    """Which of those accepted, and by how much; of what is listed at once there is nothing to say."""
    late = [Listing("sms", every=2, seconds=60), Listing("email", seconds=30)]
    with Sandbox(log, listings=late, email_activity=True) as sandbox:
        twilio = twilio_client(sandbox.twilio_url)
        sids = [text(twilio).sid for _ in range(2)]
        sendgrid_client(sandbox.sendgrid_url).send(mail(attempt="att-7"))
    found = [(each["request"], each["id"], each["seconds"]) for each in events("delayed")]
    email = events("accepted")[2]
    assert found == [(2, sids[1], 60.0), (3, email["id"], 30.0)]
    assert events("delayed")[1]["attempt"] == "att-7"


def test_who_asked_is_in_the_log(twilio: Any, events: Events) -> None:
    """A list leaves whom it was about and how many it held, before its answer; a fetch leaves nothing of the kind."""
    message = text(twilio)
    twilio.messages.list(to=TO, from_=FROM)
    twilio.calls.list(to=TO)
    twilio.messages(message.sid).fetch()
    lines = [{name: each[name] for name in ("channel", "to", "from", "count", "fault")} for each in events("listed")]
    assert lines == [
        {"channel": "sms", "to": TO, "from": FROM, "count": 1, "fault": None},
        {"channel": "voice", "to": TO, "from": "", "count": 0, "fault": None},
    ]
    order = [(each["event"], each["request"]) for each in events()]
    assert order.index(("listed", 2)) < order.index(("answered", 2))


@pytest.mark.parametrize(
    ("kind", "twilios", "sendgrids"),
    [("429", (429, 20429), 429), ("500", (500, 20500), 500), ("503", (503, 20503), 503), ("refuse", (403, 20403), 403)],
)
def test_a_list_can_fail(log: Any, events: Events, kind: Any, twilios: tuple[int, int], sendgrids: int) -> None:
    """Lists fail in the provider's own words; sends and fetches go on, and the log says why there is no count."""
    with Sandbox(log, faults=[Fault(kind, on="list")], email_activity=True) as sandbox:
        twilio, sendgrid = twilio_client(sandbox.twilio_url), sendgrid_client(sandbox.sendgrid_url)
        message = text(twilio)
        assert twilio.messages(message.sid).fetch().sid == message.sid
        with pytest.raises(TwilioException) as caught:
            twilio.messages.list(to=TO)
        answer = caught.value.args[1]
        assert (answer.status_code, json.loads(answer.text)["code"]) == twilios
        assert sendgrid.send(mail()).status_code == 202
        with pytest.raises(HTTPError) as refused:
            sendgrid.client.messages.get(query_params={"query": 'to_email="ana@debtor.test"'})
        assert refused.value.status_code == sendgrids
    assert [(each["count"], each["fault"]) for each in events("listed")] == [(None, kind)] * 2


@pytest.mark.parametrize("kind", ["drop", "hang"])
def test_a_list_can_have_no_answer(sandbox: Sandbox, twilio: Any, events: Events, kind: Any) -> None:
    """A dropped or hanging list breaks the connection, and the log knows that it was asked."""
    text(twilio)
    sandbox.fault(Fault(kind, on="list", channel="sms", times=1, seconds=0.1))
    with pytest.raises(requests.ConnectionError):
        listed(twilio)
    assert len(listed(twilio)) == 1
    sandbox.close()
    assert [each["count"] for each in events("listed")] == [None, 1]
    assert [each["why"] for each in events("dropped")] == [kind]


def test_a_late_list_is_a_good_one(sandbox: Sandbox, twilio: Any, events: Events) -> None:
    """A patient client gets the list, as it was when it asked."""
    sandbox.fault(Fault("late", on="list", seconds=0.1))
    sids = [text(twilio).sid]
    assert listed(twilio) == sids
    assert [(each["count"], each["fault"]) for each in events("listed")] == [(1, "late")]


def test_lists_and_sends_are_counted_apart(sandbox: Sandbox, twilio: Any) -> None:
    """Each second list fails whatever is sent between, and a fault of sends never meets a list."""
    sandbox.fault(Fault("500", on="list", every=2))
    sandbox.fault(Fault("500", times=1, every=3))
    went = [(goes(lambda: text(twilio)), goes(lambda: listed(twilio))) for _ in range(4)]
    assert went == [(True, True), (True, False), (False, True), (True, False)]
