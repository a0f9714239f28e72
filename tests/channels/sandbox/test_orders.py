"""Which messages an order meets: each n-th, a share by hash, so many at most."""

from pathlib import Path
from typing import Any

import pytest
import requests
from pydantic import ValidationError

from channels.sandbox import Fault, Listing, Reaction, Sandbox
from channels.sandbox.faults import load_faults
from channels.sandbox.listings import load_listings
from channels.sandbox.orders import picked

from .clients import EMAIL, smtp_client, twilio_client

TO = "+33612345678"


def answered(twilio: Any, attempt: str, to: str = TO) -> bool:
    """Send one; did its answer come?"""
    callback = f"http://127.0.0.1:1/twilio/status/{attempt}#rc=0"
    try:
        return bool(twilio.messages.create(to=to, from_="Creditor", body="Bonjour", status_callback=callback).sid)
    except requests.ConnectionError:
        return False


def lost(seed: int, share: float, attempts: list[str]) -> set[str]:
    """The attempts whose answer a sandbox with that seed loses."""
    with Sandbox(faults=[Fault("accept_then_drop", share=share)], seed=seed) as sandbox:
        twilio = twilio_client(sandbox.twilio_url)
        return {attempt for attempt in attempts if not answered(twilio, attempt)}


def test_every_nth_answer_can_be_lost(sandbox: Sandbox, twilio: Any) -> None:
    """Each third message of those it is meant for meets the fault, twice at most; all of them are accepted."""
    sandbox.fault(Fault("accept_then_drop", to="+336*", every=3, times=2))
    came = [answered(twilio, f"att-{number}", to) for number in range(10) for to in (TO, "+4915123456789")]
    assert came[1::2] == [True] * 10
    assert [number for number, each in enumerate(came[::2], 1) if not each] == [3, 6]
    assert len(sandbox.accepted()) == 20


def test_a_share_is_the_same_in_every_run() -> None:
    """The seed and the attempt decide who is met, whatever the order they come in; another seed picks others."""
    attempts = [f"att-{number}" for number in range(40)]
    first = lost(7, 0.3, attempts)
    assert first == lost(7, 0.3, attempts[::-1])
    assert 0 < len(first) < 40
    assert first != lost(8, 0.3, attempts)


def test_a_share_is_as_large_as_ordered() -> None:
    """A tenth is about a tenth, and two orders of one share do not pick the same."""
    keys = [str(number) for number in range(10_000)]
    tenth, receipts = Fault("drop", share=0.1), Reaction("sms", share=0.1)
    assert 900 < sum(picked(tenth, 0, key) for key in keys) < 1100
    assert 50 < sum(picked(tenth, 0, key) and picked(receipts, 0, key) for key in keys) < 150
    assert all(picked(Fault("drop", share=1), 0, key) for key in keys)


def test_over_smtp_a_share_is_of_addresses() -> None:
    """At RCPT nobody knows the attempt: the same address meets the fault each time."""
    with (
        Sandbox(faults=[Fault("refuse", channel="email", share=0.5)]) as sandbox,
        smtp_client(sandbox.smtp_url) as client,
    ):
        people = [f"p{number}@debtor.test" for number in range(20)]
        refused = [set(client.sendmail("me@creditor.test", ["ok@other.test", *people], EMAIL)) for _ in range(2)]
    assert refused[0] == refused[1]
    assert 0 < len(refused[0] & set(people)) < 20


def test_orders_read_the_same_from_a_file_and_over_http(sandbox: Sandbox, tmp_path: Path) -> None:
    """`every`, `share` and `on` can be ordered in YAML and by the control path, for all kinds of orders."""
    (tmp_path / "faults.yaml").write_text("- {kind: 500, every: 10}\n- {kind: 429, on: list, share: 0.1}\n")
    assert load_faults(tmp_path / "faults.yaml") == [Fault("500", every=10), Fault("429", on="list", share=0.1)]
    (tmp_path / "listings.yaml").write_text("- {channel: sms, share: 0.1}\n- {every: 2, seconds: 5}\n")
    assert load_listings(tmp_path / "listings.yaml") == [Listing("sms", share=0.1), Listing(every=2, seconds=5)]
    for path, order in {"faults": "{kind: 500, every: 2, on: list}", "reactions": "{share: 0.5}"}.items():
        answer = requests.post(f"{sandbox.twilio_url}/sandbox/{path}", data=order, timeout=5)
        assert (answer.status_code, answer.json()) == (201, {"ordered": 1})


@pytest.mark.parametrize(
    ("kind", "fields", "complaint"),
    [
        (Fault, {"kind": "500", "every": 0}, "every"),
        (Fault, {"kind": "500", "share": 0}, "share"),
        (Fault, {"kind": "500", "on": "fetch"}, "on"),
        (Fault, {"kind": "accept_then_drop", "on": "list"}, "a list accepts nothing"),
        (Reaction, {"share": 1.1}, "share"),
        (Listing, {"seconds": -1}, "seconds"),
        (Listing, {"minutes": 1}, "minutes"),
    ],
)
def test_an_order_out_of_range_is_refused(kind: Any, fields: dict[str, Any], complaint: str) -> None:
    """What can never be met, or never be done, is an error where it is written."""
    with pytest.raises(ValidationError, match=complaint):
        kind(**fields)
