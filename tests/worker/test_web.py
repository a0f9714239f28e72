"""The web door that a call asks what to say: signed, neutral, and silent once the case has changed."""

import json
import socket
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from twilio.request_validator import RequestValidator

from channels.base import ConfigurationError
from channels.sandbox import Sandbox
from tests.conftest import MakeApp
from worker.app import App
from worker.dunning.model import Case
from worker.embedded import Embedded
from worker.web import listens_on

from .config_copy import B2B, CHANNELS, Copy
from .payloads import fact
from .programs import until
from .rig import MORNING, Rig
from .web.served import serving

TOKEN = "sandbox"
SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[1] / "contracts" / "twiml_voice_schema.json").read_text())


def ask(base: str, attempt: str, token: str = TOKEN, public: str = "", **form: str) -> tuple[int, bytes]:
    """As Twilio asks a door at `base`, known outside as `public`."""
    path, form = f"/webhooks/twilio/voice/{urllib.parse.quote(attempt, safe='/?=')}", {"CallSid": "CA1", **form}
    headers = {"X-Twilio-Signature": RequestValidator(token).compute_signature((public or base) + path, form)}
    with urllib3.PoolManager(retries=False, timeout=10) as http:
        answer = http.request("POST", base + path, fields=form, encode_multipart=False, headers=headers)
    return answer.status, answer.data


@contextmanager
def door(app: App) -> Iterator[str]:
    """The doors on a free port; gives their address."""
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(app, listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@dataclass
class Calls:
    """A sandbox that fetches, a door that answers, and a case whose first step is a call."""

    rig: Rig
    public: str
    log: Path

    def open(self) -> Case:
        """A case, due to be called."""
        return self.rig.open(debtor__phone="+33639980101")

    def call(self) -> tuple[Case, str]:
        """A call that was placed; the case and the attempt."""
        case = self.open()
        self.rig.settle(case)
        return case, f"{case.id}.1"

    def fetched(self) -> dict[str, Any]:
        """What the sandbox was told to say in the only call."""
        line: dict[str, Any] = until(lambda: next(iter(self._fetched()), None))
        return line

    def _fetched(self) -> Iterator[dict[str, Any]]:
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return (line for line in lines if line["event"] == "twiml")

    def ask(self, attempt: str, token: str = TOKEN, **form: str) -> tuple[int, bytes]:
        """As Twilio asks."""
        return ask(self.public, attempt, token, **form)


@pytest.fixture
def calls(make_app: MakeApp, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Calls]:
    """All of it, real, on free ports of loopback. A parameter is added to the calls' provider."""
    copy = Copy(tmp_path / "config")
    copy.edit(CHANNELS, "kind: twilio_voice", f"kind: twilio_voice{getattr(request, 'param', '')}")
    copy.edit(B2B, "channel: email\n    tone: 1", "channel: voice\n    notice: call\n    tone: 1")
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Sandbox(log=tmp_path / "sandbox.jsonl") as sandbox,
    ):
        public = f"http://127.0.0.1:{listener.getsockname()[1]}"
        environ = {
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_BASE_URL": sandbox.twilio_url,
            "PUBLIC_URL": public,
        }
        app = make_app(at=MORNING, speed=1, config=copy.folder, **environ)
        with serving(app, listener):
            yield Calls(Rig(app), public, tmp_path / "sandbox.jsonl")


def conforms(document: bytes) -> ET.Element:
    """The root of a document that holds nothing the provider does not know."""
    root = ET.fromstring(document)  # noqa: S314 our own document
    for parent in root.iter():
        allowed = SCHEMA[parent.tag]["children"]
        for element in parent:
            assert set(element.keys()) <= set(allowed[element.tag])
    return root


def hangs_up(document: bytes) -> bool:
    """Does it say nothing at all?"""
    return [element.tag for element in conforms(document)] == ["Hangup"]


def test_a_call_begins_with_neutral_words(calls: Calls) -> None:
    """That it is automated, who calls, and a key for the right person; of a debt nothing."""
    _, attempt = calls.call()
    said = calls.fetched()
    assert said["url"].endswith(attempt)
    assert said["status"] == 200
    assert "appel automatique" in said["text"]
    assert "Atelier Démo" in said["text"]
    assert "tapez 1" in said["text"]
    for secret in ("F-2026", "F, 2", "1200", "1 200", "facture", "dû", "dette", "impay", "retard", "€"):
        assert secret not in said["text"]


def test_the_document_is_one_that_the_provider_knows(calls: Calls) -> None:
    """It speaks while it listens; to a recorder it speaks, then the line is free. The provider's schema has it all."""
    _, attempt = calls.call()
    status, document = calls.ask(attempt, CallSid="CA1")
    assert status == 200
    assert [element.tag for element in conforms(document)] == ["Gather"]
    recorder = calls.ask(attempt, CallSid="CA1", AnsweredBy="machine_end_beep")[1]
    assert [element.tag for element in conforms(recorder)] == ["Say", "Hangup"]


@pytest.mark.parametrize("calls", ["\n    voice: Polly.Remi-Neural"], indirect=True)
def test_the_voice_is_the_one_its_provider_is_set_to(calls: Calls) -> None:
    """Whether the words travel with the call or are asked for, they are spoken by the voice of the configuration."""
    _, attempt = calls.call()
    say = conforms(calls.ask(attempt)[1])[0][0]
    assert (say.get("voice"), say.get("language")) == ("Polly.Remi-Neural", "fr-FR")


def test_a_forged_request_is_refused(calls: Calls) -> None:
    """Without the account's token nobody learns anything, not even which calls there are."""
    _, attempt = calls.call()
    assert calls.ask(attempt, token="guessed", CallSid="CA1") == (403, b"")
    assert calls.ask("demo-none.1", token="guessed") == (403, b"")


@pytest.mark.parametrize(
    "kind",
    [
        fact("payment_received", invoice="F-2026/001", amount="1200.50", currency="EUR"),
        fact("case_held", reason="dispute"),
        fact("case_held", reason="dispute", invoice="F-2026/001"),
        fact("case_closed", reason="cancelled"),
    ],
    ids=["paid", "held", "invoice held", "closed"],
)
def test_a_call_about_what_is_over_hangs_up(calls: Calls, kind: dict[str, Any]) -> None:
    """The debtor paid, or answered, between the dialling and the first word."""
    case, attempt = calls.call()
    target = {} if kind["type"] == "payment_received" else {"case": case.id}
    calls.rig.take({**kind, **target})
    calls.rig.settle(case)
    status, document = calls.ask(attempt, CallSid="CA1")
    assert (status, hangs_up(document)) == (200, True)


@pytest.mark.parametrize("attempt", ["demo-none.1", "nonsense", "x.y", "demo-.1"])
def test_a_call_nobody_knows_hangs_up(calls: Calls, attempt: str) -> None:
    """Signed, but of no case of ours: a call that says nothing, never an error that is read out."""
    status, document = calls.ask(attempt)
    assert (status, hangs_up(document)) == (200, True)


def test_a_call_that_has_not_begun_hangs_up(calls: Calls) -> None:
    """A reserved attempt has placed no call, so whoever asks for its words is not in one."""
    attempt = calls.rig.reserve(calls.open())
    status, document = calls.ask(attempt)
    assert (status, hangs_up(document)) == (200, True)


def test_words_that_cannot_be_made_are_a_hangup(calls: Calls) -> None:
    """A step that left the configuration: the debtor does not hear the provider read an error out."""
    case, attempt = calls.call()
    broken = calls.rig.app.config.strategies[case.strategy]
    object.__setattr__(broken, "steps", ())
    status, document = calls.ask(attempt)
    assert (status, hangs_up(document)) == (200, True)


@pytest.mark.parametrize("environ", [{}, {"PUBLIC_URL": "https://relance.example"}, {"TWILIO_AUTH_TOKEN": TOKEN}])
def test_without_a_token_or_an_address_there_is_no_door(make_app: MakeApp, environ: dict[str, str]) -> None:
    """Nothing could be verified."""
    if "TWILIO_AUTH_TOKEN" in environ:
        environ["TWILIO_ACCOUNT_SID"] = "AC1"
    with door(make_app(**environ)) as base:
        for asked in ("demo-x.1", "demo-x.1/key?at=menu"):
            assert ask(base, asked) == (404, b"")


def test_each_account_signs_with_its_own_token(make_app: MakeApp, tmp_path: Path) -> None:
    """A creditor whose calls are placed by an account of its own is let in by that account's token."""
    copy = Copy(tmp_path / "config")
    own = "  own_voice:\n    kind: twilio_voice\n    account_sid_env: OWN_SID\n    auth_token_env: OWN_TOKEN\n"
    copy.edit("channels.yaml", "providers:\n  sendgrid:", f"providers:\n{own}  sendgrid:")
    public = "https://relance.example"
    app = make_app(config=copy.folder, PUBLIC_URL=public, OWN_SID="AC1", OWN_TOKEN="own")
    with door(app) as base:
        assert ask(base, "demo-x.1", "own", public)[0] == 200
        assert ask(base, "demo-x.1", "other", public)[0] == 403


def test_a_store_that_is_away_is_not_an_answer(tmp_path: Path, make_app: MakeApp) -> None:
    """503: the provider may ask its fallback; nothing is said on a guess."""
    public = "https://relance.example"
    with Embedded(tmp_path / "v") as urls:
        environ = {"REDIS_URL": urls.redis_url, "BROKER_URL": urls.broker_url, "PUBLIC_URL": public}
        app = make_app(**environ, TWILIO_ACCOUNT_SID="AC1", TWILIO_AUTH_TOKEN=TOKEN)
    with door(app) as base:
        for asked in ("demo-x.1", "demo-x.1/key?at=menu"):
            assert ask(base, asked, TOKEN, public)[0] == 503


def test_where_the_doors_are_is_read_as_everything_else_is(make_app: MakeApp, tmp_path: Path) -> None:
    """Loopback unless told otherwise; a variable's `_FILE` twin is read; a port that is none is named."""
    assert listens_on(make_app()) == ("127.0.0.1", 8000)
    (tmp_path / "host").write_text("0.0.0.0\n")
    found = listens_on(make_app(WEB_HOST_FILE=str(tmp_path / "host"), WEB_PORT="8080"))
    assert found == ("0.0.0.0", 8080)  # noqa: S104
    for port in ("http", "0", "65536", "-1", "²"):
        with pytest.raises(ConfigurationError, match="WEB_PORT"):
            listens_on(make_app(WEB_PORT=port))
