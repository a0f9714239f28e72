"""The billing system's HTTP door: its key, its jobs, its refusals, over real sockets and a real store."""

import hashlib
import http.client
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate as validate_openapi

from channels.base import Receipt, ReceiptWhat
from tests.conftest import MakeApp
from worker.app import App
from worker.config.grammar import Rate
from worker.dunning.answers import Answer as Said
from worker.dunning.model import Case
from worker.embedded import Embedded
from worker.inbound import answer as answer_of
from worker.inbound import receive
from worker.intake import OTHER_CONTENT
from worker.web import api
from worker.web import upstream as doors

from .config_copy import DEMO, Copy
from .payloads import fact, reminder
from .rig import MORNING, Rig, at, outbox
from .test_web import door

KEY, SPARE, OTHERS = "relance_key-of-the-demo", "relance_next-key-of-the-demo", "relance_key-of-acme"
REMINDER = {name: value for name, value in reminder().items() if name in ("as_of", "debtor", "invoices")}
PAYMENT = {"invoice": "F-2026/001", "amount": "1200.50", "currency": "EUR"}
POSTS = [each.path for each in api.DOORS]


def hashed(key: str) -> str:
    """As a creditor's file has it."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


@dataclass(frozen=True)
class Answer:
    """What a door said."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Billing:
    """A billing system with a key, in front of the doors."""

    base: str
    rig: Rig
    http: urllib3.PoolManager

    def ask(
        self, method: str, path: str, body: object = None, *, key: str = KEY, job: str = "", **headers: str
    ) -> Answer:
        """One request; a body that is no bytes goes as JSON."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        said = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Idempotency-Key": job}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.request(
            method, self.base + path, body=sent, headers={name: value for name, value in said.items() if value}
        )
        kind = answer.headers.get("Content-Type", "")
        return Answer(answer.status, answer.headers, json.loads(answer.data) if "json" in kind else answer.data)

    def post(self, path: str, body: object, job: str = "j-1", **more: Any) -> Answer:
        """A job."""
        return self.ask("POST", path, body, job=job, **more)

    def open(self) -> Case:
        """A case of the demo's."""
        answer = self.post("/v1/reminders", REMINDER)
        assert answer.status == 200, answer.body
        return self.rig.case(answer.body["cases"][0])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two creditors with keys."""
    copy = Copy(tmp_path / "config")
    shutil.copy(copy.folder / DEMO, copy.folder / "creditors" / "acme.yaml")
    copy.edit("creditors/acme.yaml", "id: demo", "id: acme")
    copy.edit("creditors/acme.yaml", "mode: live", f"api_keys: [{hashed(OTHERS)}]")
    copy.edit(DEMO, "mode: live", f"api_keys: [{hashed(KEY)}, {hashed(SPARE)}]\napi_rate: 9999/s")
    return copy.folder


@pytest.fixture
def billing(make_app: MakeApp, config: Path) -> Iterator[Billing]:
    """The doors on loopback, and who asks."""
    app = make_app(at=MORNING, speed=1, config=config)
    with door(app) as base, urllib3.PoolManager(retries=False, timeout=10) as http:
        yield Billing(base, Rig(app), http)


# ---- the key


@pytest.mark.parametrize("key", ["", "relance_nobody", hashed(KEY), f"{KEY}x", KEY[:-1]])
def test_without_a_known_key_there_is_nothing(billing: Billing, key: str) -> None:
    """401 on every door, with how to ask, and nothing is stored."""
    for path in POSTS:
        answer = billing.post(path.replace("{case}", "demo-x-1"), PAYMENT, key=key)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert billing.ask("GET", "/v1/cases/demo-x-1", key=key).status == 401
    assert billing.ask("POST", "/v1/payments", PAYMENT, job="j", Authorization=f"Basic {KEY}").status == 401
    assert stored(billing.rig.app) == {}


def test_where_nobody_has_a_key_there_is_no_door(make_app: MakeApp) -> None:
    """404, whatever is brought."""
    app = make_app()
    with door(app) as base, urllib3.PoolManager(retries=False, timeout=10) as http:
        billing = Billing(base, Rig(app), http)
        found = {billing.post(path.replace("{case}", "demo-x"), REMINDER).status for path in POSTS}
        assert found | {billing.ask("GET", "/v1/cases/demo-x").status} == {404}
    assert stored(app) == {}


def test_two_keys_open_one_door(billing: Billing) -> None:
    """A key is rotated without a minute of 401."""
    assert billing.post("/v1/reminders", REMINDER, "a", key=SPARE).status == 200
    assert billing.post("/v1/payments", PAYMENT, "b").status == 200


def test_a_key_touches_its_own_creditor_alone(billing: Billing) -> None:
    """Another's case is not there, by path or in a body; a body that names another creditor is refused."""
    case = billing.open()
    before = stored(billing.rig.app)
    for path in (f"/v1/cases/{case.id}/{verb}" for verb in ("hold", "release", "close")):
        assert billing.post(path, {"reason": "manual"}, key=OTHERS).status == 404
    assert billing.ask("GET", f"/v1/cases/{case.id}", key=OTHERS).status == 404
    by_body = billing.post("/v1/payments", {"case": case.id, "amount": "1", "currency": "EUR"}, key=OTHERS)
    assert (by_body.status, by_body.body["problems"]) == (422, ["case: the creditor has no such case"])
    named = billing.post("/v1/payments", {**PAYMENT, "creditor": "demo"}, key=OTHERS)
    assert (named.status, len(named.body["problems"])) == (422, 1)
    assert stored(billing.rig.app) == before


# ---- the jobs


def test_each_door_does_what_its_job_does(billing: Billing) -> None:
    """What comes over HTTP and what comes through the queue end in the same events."""
    case = billing.open()
    job = fact("case_held", job_id="h", case=case.id, reason="dispute")
    billing.post(f"/v1/cases/{case.id}/hold", {"reason": "dispute"}, "h")
    assert billing.rig.take(job).repeated
    billing.post(f"/v1/cases/{case.id}/release", {}, "r")
    billing.post("/v1/payments", {**PAYMENT, "amount": "200", "reference": "T-1"}, "p")
    billing.post("/v1/payments/failed", {**PAYMENT, "amount": "200", "reference": "T-1"}, "f")
    answer = billing.post(f"/v1/cases/{case.id}/close", {"reason": "cancelled"}, "c")
    assert answer.body == {"job_id": "c", "cases": [case.id], "notes": [], "repeated": False}
    assert billing.rig.kinds(case) == [
        "CaseOpened", "HoldPlaced", "HoldReleased", "PaymentReceived", "HoldPlaced", "PaymentFailed", "HoldReleased",
        "CaseEnded",
    ]  # fmt: skip


def test_no_message_begins_after_a_payment_was_answered(billing: Billing, tmp_path: Path) -> None:
    """The message was reserved before; the worker that takes it up after the answer sends nothing."""
    case = billing.open()
    attempt = billing.rig.reserve(case)
    assert billing.post("/v1/payments", PAYMENT, "p").status == 200
    billing.rig.deliver(case)
    billing.rig.settle(case)
    assert outbox(tmp_path) == []
    ended = billing.rig.case(case.id).ended
    assert attempt.startswith(case.id)
    assert ended is not None
    assert ended.reason == "paid"


def test_a_request_again_is_not_done_again(billing: Billing) -> None:
    """The answer that was lost comes once more; the header may be in quotes, as its draft has it."""
    first = billing.post("/v1/reminders", REMINDER, "again")
    before = stored(billing.rig.app)
    again = billing.post("/v1/reminders", dict(reversed(REMINDER.items())), '"again"')
    assert (again.status, again.body) == (200, {**first.body, "repeated": True})
    assert stored(billing.rig.app) == before


def test_a_key_with_another_request_is_refused(billing: Billing) -> None:
    """Two payments under one key would lose the second in silence; whoever is at fault is told. The queue notes it."""
    billing.open()
    billing.post("/v1/payments", {**PAYMENT, "amount": "1"}, "p")
    before = stored(billing.rig.app)
    assert billing.post("/v1/payments", {**PAYMENT, "amount": "2"}, "p").status == 422
    assert billing.post("/v1/payments/failed", {**PAYMENT, "amount": "1"}, "p").status == 422
    taken = billing.rig.take(fact("payment_received", job_id="p", **{**PAYMENT, "amount": "3"}))
    assert (taken.repeated, taken.notes) == (True, (OTHER_CONTENT,))
    assert stored(billing.rig.app) == before


def test_a_repeat_is_one_even_where_it_makes_no_sense_any_more(billing: Billing) -> None:
    """The payment came back, the books were told, and the lost answer is asked for again: it is the first one's."""
    case = billing.open()
    billing.post("/v1/payments", {**PAYMENT, "amount": "200", "reference": "T-1", "as_of": at(10)}, "p")
    back = {"case": case.id, "amount": "200", "currency": "EUR", "reference": "T-1", "as_of": at(11)}
    first = billing.post("/v1/payments/failed", back, "f")
    billing.post("/v1/reminders", {**REMINDER, "as_of": at(12)}, "r")
    assert billing.post("/v1/payments/failed", back, "another").status == 422
    again = billing.post("/v1/payments/failed", back, "f")
    assert (again.status, again.body) == (200, {**first.body, "repeated": True})


def test_of_many_at_once_under_one_key_one_is_taken(billing: Billing) -> None:
    """A client that loses its patience and asks again, on every connection it has."""
    case = billing.open()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: billing.post("/v1/payments", {**PAYMENT, "amount": "1"}, "p"), range(16)))
    assert [answer.status for answer in found] == [200] * 16
    assert [answer.body["repeated"] for answer in found].count(False) == 1
    assert billing.rig.kinds(case).count("PaymentReceived") == 1


def test_the_case_says_how_it_stands(billing: Billing) -> None:
    """What is owed, what holds it, what was sent, what comes next and why; nothing that upstream did not say itself."""
    case = billing.open()
    billing.rig.settle(case)
    billing.post(f"/v1/cases/{case.id}/hold", {"reason": "dispute"}, "h")
    answer = billing.ask("GET", f"/v1/cases/{case.id}")
    found = answer.body
    assert (answer.status, found["status"], found["owed"], found["debtor"]) == (200, "held", "1200.50", "D-1")
    assert [hold["reason"] for hold in found["holds"]] == ["dispute"]
    (step,) = found["steps"]
    assert (step["step"], step["messages"][0]["status"]) == ("first_reminder", "accepted")
    assert (found["next"]["state"], found["next"]["why"]) == ("held", "held: the debtor disputes it")
    assert answer.headers["Cache-Control"] == "no-store"
    assert found["answers"] == []
    billing.post(f"/v1/cases/{case.id}/close", {"reason": "paid"}, "c")
    ended = billing.ask("GET", f"/v1/cases/{case.id}").body
    assert (ended["status"], ended["ended"], ended["owed"]) == ("ended", "paid", "0")
    assert billing.ask("GET", "/v1/cases/demo-none-1").status == 404


@pytest.mark.parametrize(("what", "status"), [("hard", "undelivered"), ("soft", "unavailable")])
def test_the_case_says_what_did_not_arrive(billing: Billing, what: ReceiptWhat, status: str) -> None:
    """A message that the provider took and could not deliver, and what the document says of it."""
    case = billing.open()
    billing.rig.settle(case)
    receive(billing.rig.app, Receipt(f"{case.id}.1", what, provider="smtp", code="5.1.1"))
    looked = billing.ask("GET", f"/v1/cases/{case.id}")
    (message,) = looked.body["steps"][0]["messages"]
    assert (message["status"], message["code"]) == (status, "5.1.1")
    conforms("get", api.CASE, looked)


def test_the_case_says_what_the_debtor_answered(billing: Billing) -> None:
    """What, where and when; not in their words, which are in the event stream."""
    case = billing.open()
    said = Said(kind="promise", source="page", ref="p-1", on=date(2026, 4, 15), method="transfer", text="I am Jeanne")
    answer_of(billing.rig.app, case.id, said)
    looked = billing.ask("GET", f"/v1/cases/{case.id}")
    (found,) = looked.body["answers"]
    assert (found["kind"], found["source"], found["on"], found["method"]) == (
        "promise",
        "page",
        "2026-04-15",
        "transfer",
    )
    assert [hold["reason"] for hold in looked.body["holds"]] == ["promise"]
    assert "Jeanne" not in json.dumps(looked.body)
    conforms("get", api.CASE, looked)


# ---- refusals


def test_a_bad_job_is_named_place_by_place_without_a_value(billing: Billing) -> None:
    """422; whoever reads the answer, or a log of it, learns nobody's name."""
    bad = {**REMINDER, "debtor": {**REMINDER["debtor"], "email": "Jeanne Dupont", "kind": "friend"}}
    answer = billing.post("/v1/reminders", bad)
    assert (answer.status, answer.headers["Content-Type"]) == (422, "application/problem+json")
    assert [problem.partition(":")[0] for problem in answer.body["problems"]] == ["debtor.kind", "debtor.email"]
    assert "Jeanne" not in json.dumps(answer.body)
    assert answer.body["status"] == 422


REFUSED = [
    ({"body": b"{"}, 400),
    ({"body": b"\xff{}"}, 400),
    ({"body": b"[" * 100_000}, 400),
    ({"body": b"9" * 10_000}, 400),
    ({"body": b"[]"}, 422),
    ({"body": b'{"invoice": "F-1", "amount": NaN, "currency": "EUR"}'}, 422),
    ({"body": b'{"\\ud800": "\\udfff"}'}, 422),
    ({"body": {**PAYMENT, "type": "case_closed"}}, 422),
    ({"body": {**PAYMENT, "job_id": "x"}}, 422),
    ({"body": PAYMENT, "job": ""}, 400),
    ({"body": PAYMENT, "job": "é"}, 400),
    ({"body": PAYMENT, "job": "x" * 65}, 400),
    ({"body": PAYMENT, "Content_Type": "text/plain"}, 415),
    ({"body": PAYMENT, "Content_Type": "application/json; charset=latin-1"}, 415),
    ({"body": b" " * 1_000_001}, 413),
]


@pytest.mark.parametrize(("request_", "status"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_no_job_is_refused(billing: Billing, request_: dict[str, Any], status: int) -> None:
    """As a problem, with the status that says whose fault it is; nothing is stored."""
    said = {"job": "j-1", **request_}
    if said["job"] == "é":
        said["job"] = b"\xc3\xa9".decode("latin-1")
    answer = billing.ask("POST", "/v1/payments", **said)
    assert (answer.status, answer.body["status"]) == (status, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert stored(billing.rig.app) == {}


def test_what_never_ends_is_cut_off(billing: Billing) -> None:
    """Chunks without a length are counted as they come: 413 after a megabyte, however much would follow."""
    sent = 0
    with closing(http.client.HTTPConnection(urlsplit(billing.base).netloc, timeout=10)) as connection:
        connection.putrequest("POST", "/v1/payments")
        connection.putheader("Authorization", f"Bearer {KEY}")
        connection.putheader("Idempotency-Key", "j-1")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        with suppress(OSError):  # it hangs up on us
            while sent < 50_000_000:
                connection.send(b"10000\r\n" + b" " * 65536 + b"\r\n")
                sent += 65536
    assert sent < 50_000_000
    assert billing.ask("GET", "/v1/cases/demo-x-1").status == 404  # and it serves others


def test_what_comes_too_slowly_is_given_up(billing: Billing, monkeypatch: pytest.MonkeyPatch) -> None:
    """408, and the connection with it: nobody holds a door open by saying nothing."""
    monkeypatch.setattr(doors, "PATIENCE", 0.2)
    with closing(http.client.HTTPConnection(urlsplit(billing.base).netloc, timeout=10)) as connection:
        headers = {"Authorization": f"Bearer {KEY}", "Idempotency-Key": "j-1", "Content-Type": "application/json"}
        connection.putrequest("POST", "/v1/payments")
        for name, value in {**headers, "Content-Length": "100"}.items():
            connection.putheader(name, value)
        connection.endheaders(b"{")
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["status"]) == (408, 408)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/v1/payments", 405, "POST"),
        ("DELETE", "/v1/cases/demo-x-1", 405, "GET"),
        ("BREW", "/v1/cases/demo-x-1/hold", 405, "POST"),
        ("POST", "/v1/nothing", 404, None),
        ("GET", "/v1/", 404, None),
        ("GET", "/v1/cases/a/b", 404, None),
    ],
)
def test_what_is_nowhere_is_a_problem_too(
    billing: Billing, method: str, path: str, status: int, allow: str | None
) -> None:
    """404 and 405 have the same form as all other refusals."""
    answer = billing.ask(method, path)
    assert (answer.status, answer.body["status"], answer.headers.get("Allow")) == (status, status, allow)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_over_the_rate_is_told_when_to_come_back(billing: Billing) -> None:
    """429 with Retry-After, for one creditor, over all web processes together; the others are served."""
    creditors = billing.rig.app.config.creditors
    slow = creditors["demo"].model_copy(update={"api_rate": Rate(2, timedelta(minutes=1))})
    config = replace(billing.rig.app.config, creditors={**creditors, "demo": slow})
    billing.rig.app.config = config
    with door(billing.rig.app) as second:
        other = replace(billing, base=second)
        statuses = [each.ask("GET", "/v1/cases/demo-x-1").status for each in (billing, other, billing, other)]
        refused = other.post("/v1/payments", PAYMENT)
        assert statuses == [404, 404, 429, 429]
        assert (refused.status, 1 <= int(refused.headers["Retry-After"]) <= 30) == (429, True)
        assert other.ask("GET", "/v1/cases/acme-x-1", key=OTHERS).status == 404


def test_a_store_that_is_away_is_503(tmp_path: Path, make_app: MakeApp, config: Path) -> None:
    """Nothing was taken, so nothing is acknowledged; upstream asks again."""
    with Embedded(tmp_path / "v") as urls:
        app = make_app(config=config, REDIS_URL=urls.redis_url, BROKER_URL=urls.broker_url)
    with door(app) as base, urllib3.PoolManager(retries=False, timeout=30) as http:
        answer = Billing(base, Rig(app), http).post("/v1/payments", PAYMENT)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")


def test_that_there_was_nothing_to_tell_is_told(billing: Billing) -> None:
    """A run that found no payment says so, with nothing in it, or with when it looked; no case changes."""
    assert billing.post("/v1/payments/checked", {}, "c-1").body["cases"] == []
    looked = {"as_of": "2026-04-01T06:00:00+02:00"}
    assert billing.post("/v1/payments/checked", looked, "c-2").status == 200
    answer = billing.post("/v1/payments/checked", PAYMENT, "c-3")
    assert (answer.status, len(answer.body["problems"])) == (422, 3)


# ---- whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted({name for schema in api.document()["components"]["schemas"].values() for name in schema["properties"]})


@st.composite
def broken(draw: st.DrawFn) -> object:
    """Something like a job that cannot be one: bytes, any JSON, or a good job with one field spoilt."""
    kind = draw(st.sampled_from(["bytes", "json", "spoilt", "named"]))
    if kind == "bytes":
        return draw(st.binary(max_size=200).filter(lambda data: data.strip()[:1] != b"{"))
    if kind == "json":
        return draw(JSON.filter(lambda value: value != {}))  # which is all that a release needs
    if kind == "named":
        return {**draw(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5)), "job_id": "x"}
    body = json.loads(json.dumps(draw(st.sampled_from([REMINDER, PAYMENT]))))
    place = draw(
        st.sampled_from([body, *(body.get("invoices") or []), *([body["debtor"]] if "debtor" in body else [])])
    )
    place[draw(st.sampled_from(["amount", "invoice", "number", "id", "debtor", "as_of", "currency"]))] = draw(
        st.none() | st.floats() | st.lists(st.integers(), min_size=1) | st.text(alphabet="\x00\u202e{%", min_size=1)
    )
    return {**body, "unheard_of": 1}


@pytest.mark.parametrize("path", POSTS)
def test_malformed_requests_do_nothing(billing: Billing, path: str) -> None:
    """200 of them on each door: a refusal that conforms to the document, no 5xx, not a byte of the store changed."""
    case = billing.open()
    there = path.replace("{case}", case.id)
    before = stored(billing.rig.app)

    @settings(max_examples=200, database=None, suppress_health_check=list(HealthCheck))
    @given(body=broken())
    def ask(body: object) -> None:
        answer = billing.post(there, body, "m-1")
        assert 400 <= answer.status < 500, answer
        conforms("post", path, answer)

    ask()
    assert stored(billing.rig.app) == before


@settings(max_examples=200, database=None)
@given(path=st.text(max_size=60))
def test_no_path_is_more_than_not_found(path: str) -> None:
    """Whatever is asked for, `methods` has an answer."""
    assert api.methods(f"/v1/{path}") in ([], ["POST"], ["GET"])


@pytest.mark.parametrize("case", ["..", "%00", "demo-", "demo-x.1", "demo-%2f..%2f", quote("demo-é*?[a]"), "x" * 5000])
def test_a_malformed_case_is_not_there(billing: Billing, case: str) -> None:
    """404, looking and posting."""
    assert billing.ask("GET", f"/v1/cases/{case}").status == 404
    assert billing.post(f"/v1/cases/{case}/hold", {"reason": "manual"}).status == 404


def test_any_case_may_be_asked_for(billing: Billing) -> None:
    """200 made-up ones, with the key and with another: 404 or 401, and not a byte of the store changed."""
    billing.open()
    before = stored(billing.rig.app)

    @settings(max_examples=200, database=None, suppress_health_check=list(HealthCheck))
    @given(case=st.text(min_size=1, max_size=40), own=st.booleans())
    def ask(case: str, own: bool) -> None:
        path = f"/v1/cases/{quote('demo-' if own else '', safe='')}{quote(case, safe='', errors='replace')}"
        assert billing.ask("GET", path).status == 404
        assert billing.ask("GET", path, key="relance_guessed").status in (401, 404)

    ask()
    assert stored(billing.rig.app) == before


def stored(app: App) -> dict[str, bytes | None]:
    """Everything in the store, but for what passes with time."""
    passing = ("relance:clock", ":rate")
    names: Any = app.client.keys()
    return {name: app.client.dump(name) for name in names if not name.endswith(passing)}


# ---- the document


def conforms(method: str, path: str, answer: Answer) -> None:
    """Is the answer one that the document announces?"""
    document = api.document()
    announced = document["paths"][path][method]["responses"][str(answer.status)]["content"]
    (kind, described), *_ = announced.items()
    assert answer.headers["Content-Type"] == kind
    schema = {**described["schema"], "components": document["components"]}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(answer.body)


def test_the_document_is_openapi(billing: Billing) -> None:
    """It is valid, has the doors below /v1 and no others, and is what the page shows."""
    document = billing.ask("GET", "/openapi.json", key="").body
    validate_openapi(document)
    assert set(document["paths"]) == {*POSTS, api.CASE}
    page = billing.ask("GET", "/docs", key="")
    text = page.body.decode()
    assert page.status == 200
    assert all(path in text for path in document["paths"])
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["/openapi.json"]
    assert "<script" not in text
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_good_answers_conform_to_the_document(billing: Billing) -> None:
    """A client made from the document understands what it gets."""
    conforms("post", "/v1/reminders", billing.post("/v1/reminders", REMINDER))
    (case,) = billing.post("/v1/reminders", REMINDER).body["cases"]
    billing.rig.settle(billing.rig.case(case))
    conforms("post", f"{api.CASE}/hold", billing.post(f"/v1/cases/{case}/hold", {"reason": "manual"}, "h"))
    conforms("get", api.CASE, billing.ask("GET", f"/v1/cases/{case}"))
    conforms("get", api.CASE, billing.ask("GET", "/v1/cases/demo-x-1"))


def test_the_bodies_of_the_document_are_the_jobs_own(billing: Billing) -> None:
    """What the doors take, the document's schemas take; what the path or a header says, they do not have."""
    document = api.document()
    for path, body in (("/v1/reminders", REMINDER), ("/v1/payments", PAYMENT)):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        schema = {**content["schema"], "components": document["components"]}
        Draft202012Validator(schema).validate(body)
        assert billing.post(path, body, path.strip("/")).status == 200
        with pytest.raises(Exception, match="Additional properties"):
            Draft202012Validator(schema).validate({**body, "creditor": "demo"})
