"""The sandbox's answers, held against Twilio's own OpenAPI file."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters

from channels.sandbox import Sandbox
from channels.sandbox.contracts import FILES
from tests.conftest import ROOT

from .clients import ACCOUNT, TOKEN

CONTRACTS = ROOT / "tests" / "contracts"
BASE = f"/2010-04-01/Accounts/{ACCOUNT}"
SMS = {"To": "+33612345678", "Body": "Bonjour", "MessagingServiceSid": "MG" + "0" * 32}
LATER = {"ScheduleType": "fixed", "SendAt": "2099-01-01T00:00:00Z"}
CALL = {"To": "+33612345678", "From": "+33123456789", "Twiml": "<Response/>"}


@dataclass
class Asked:
    """A request as openapi-core wants to see it: of the answer's check, only where it went counts."""

    method: str
    path: str
    host_url: str
    content_type: str = ""
    body: bytes = b""
    parameters: RequestParameters = field(default_factory=RequestParameters)


@dataclass
class Answered:
    """An answer as openapi-core wants to see it."""

    data: bytes
    status_code: int
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def ask() -> Iterator[Any]:
    """Ask the sandbox, which holds the request against the contract; the answer is held against it here."""
    name, host = FILES["twilio"]
    spec = OpenAPI.from_dict(json.loads((CONTRACTS / name).read_text(encoding="utf-8")))
    with Sandbox(validate=CONTRACTS) as sandbox:

        def ask(method: str, path: str, form: dict[str, str] | None = None) -> Any:
            target = f"{BASE}/{path}.json"
            answer = requests.request(method, sandbox.twilio_url + target, data=form, auth=(ACCOUNT, TOKEN), timeout=5)
            errors = spec.iter_response_errors(
                Asked(method.lower(), target, host), Answered(answer.content, answer.status_code)
            )
            assert [str(each.__cause__ or each) for each in errors] == []
            return answer.json()

        yield ask


@pytest.mark.parametrize(
    ("folder", "form", "first"), [("Messages", {**SMS, **LATER}, "scheduled"), ("Calls", CALL, "queued")]
)
def test_created_fetched_listed_and_cancelled_it_is_twilios(ask: Any, folder: str, form: Any, first: str) -> None:
    """At each station of its life a resource is one of the contract's, statuses included."""
    made = ask("POST", folder, form)
    place = f"{folder}/{made['sid']}"
    assert [made["status"], ask("GET", place)["status"]] == [first, first]
    [listed] = ask("GET", folder)[folder.lower()]
    assert listed["sid"] == made["sid"]
    assert ask("POST", place, {"Status": "canceled"})["status"] == "canceled"
    assert ask("GET", place)["status"] == "canceled"
