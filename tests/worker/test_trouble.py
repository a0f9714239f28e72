"""Store and queue in every kind of trouble, under real processes: nobody ends, the doors say 503, nothing is lost."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count

import pytest

from channels.sandbox import Sandbox
from worker.app import App, Rehearsal
from worker.dunning.events import ReceiptArrived
from worker.dunning.model import Case, attempt_id
from worker.intake import take as take_in

from .config_copy import DEMO, Copy
from .payloads import reminder
from .programs import Program, free_port, program, until
from .rig import ENQUEUED, MORNING
from .test_upstream_doors import KEY, hashed
from .valkeys import ALWAYS, Server, ending
from .web.served import FORM, TWILIO, Doors, Sendgrid
from .web.visitor import SECRET

#: Each trouble: how it begins, and how it ends.
Trouble = tuple[Callable[[Server], object], Callable[[Server], object]]
TROUBLES: Mapping[str, Trouble] = {
    "killed": (Server.kill, Server.start),
    "frozen": (Server.freeze, Server.thaw),
    "read-only": (lambda it: it.ask("REPLICAOF", "127.0.0.1", 1), lambda it: it.ask("REPLICAOF", "NO", "ONE")),
    "full": (lambda it: it.ask("CONFIG", "SET", "maxmemory", 1), lambda it: it.ask("CONFIG", "SET", "maxmemory", 0)),
}
#: Which doors need which server.
NEEDED = {"store": {"payment", "page"}, "queue": {"twilio", "sendgrid"}}
INTAKE = ("worker", "--queues", "facts,inbound,reminders")
COMMANDS = (("scheduler",), ("worker", "--queues", "email"), INTAKE, ("web",))


@dataclass
class House:
    """Everything that runs, and those who knock at its doors."""

    app: App
    servers: Mapping[str, Server]
    programs: list[Program]
    doors: Doors
    sandbox: Sandbox
    keys: Sendgrid
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def open(self) -> Case:
        """A debtor whose first reminder is due now."""
        number = next(self.numbers)
        about = {"job_id": f"j-{number}", "debtor__id": f"D-{number}", "invoices__0__number": f"F-{number}"}
        taken = take_in(self.app, reminder(**about, debtor__email=f"d{number}@example.com"), enqueued_at=ENQUEUED)
        return self.case(taken.cases[0])

    def case(self, name: str) -> Case:
        """As it is stored."""
        stored = self.app.cases.load(name)
        assert stored
        return stored.case

    def sent(self, case: Case) -> int:
        """How many messages of it the provider has taken."""
        return sum(entry["attempt"].startswith(f"{case.id}.") for entry in self.sandbox.accepted())

    def heard(self, case: Case) -> bool:
        """Is it known that its message arrived?"""
        return any(isinstance(event, ReceiptArrived) for event in self.app.cases.history(case.id))

    def unmatched(self) -> int:
        """How many receipts were heard of tries that nobody made."""
        return len(self.programs[COMMANDS.index(INTAKE)].lines("receipt.unmatched"))

    def knocks(self, case: Case) -> dict[str, Callable[[], int]]:
        """What is said of the case at each door, and will be said again until it is answered with 2xx."""
        assert self.app.links
        token = self.app.links.token("u", case, "email", datetime.now(UTC).date())
        body = json.dumps([{"event": "delivered", "relance_attempt": attempt_id(case, 1), "sg_event_id": case.id}])
        paid = json.dumps({"case": case.id, "amount": "1200.50", "currency": "EUR", "as_of": MORNING.isoformat()})
        billing = {
            "Authorization": f"Bearer {KEY}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"pay-{case.id}",
        }
        status = {"MessageSid": "SM" + "0" * 32, "MessageStatus": "delivered", "AccountSid": "AC" + "0" * 32}
        ask = partial(self.doors.ask, "POST")
        return {
            "payment": lambda: ask("/v1/payments", paid.encode(), billing).status,
            "page": lambda: ask(f"/u/{token}", b"List-Unsubscribe=One-Click", FORM).status,
            "twilio": lambda: self.doors.twilio(f"/webhooks/twilio/status/{attempt_id(case, 9)}", status).status,
            "sendgrid": lambda: (
                ask(
                    "/webhooks/sendgrid/events",
                    body.encode(),
                    self.keys.headers(body.encode(), datetime.now(UTC)),
                ).status
            ),
        }


def taken(knock: Callable[[], int]) -> bool:
    """Was it answered with 2xx?"""
    return knock() // 100 == 2


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two servers, and a process of each kind, for all that befalls them."""
    folder, keys = tmp_path_factory.mktemp("house"), Sendgrid()
    copy = Copy(folder / "config")
    copy.edit(DEMO, "mode: live", f"api_keys: [{hashed(KEY)}]")
    with ending() as keep, ExitStack() as stack, Sandbox() as sandbox:
        servers = {name: keep(Server(folder / name, *ALWAYS)).start() for name in NEEDED}
        environ = {
            "REDIS_URL": servers["store"].url,
            "BROKER_URL": servers["queue"].url,
            "STORE_FAILOVER_PAUSE": "1s",
            "RELANCE_CONFIG": str(copy.folder),
            "RELANCE_SECRET_KEY": SECRET,
            "WEB_PORT": str(free_port()),
            **TWILIO,
            "TWILIO_BASE_URL": sandbox.twilio_url,
            "SENDGRID_API_KEY": "SG.x",
            "SENDGRID_BASE_URL": sandbox.sendgrid_url,
            "SENDGRID_WEBHOOK_PUBLIC_KEY": keys.public_key,
        }
        app = App(environ, Rehearsal(MORNING, 1))
        stack.callback(app.close)
        programs = [stack.enter_context(program(folder, *words, **environ)) for words in COMMANDS]
        until(lambda: all(any(line["event"].endswith(".started") for line in each.lines()) for each in programs))
        house = House(app, servers, programs, Doors(app, int(environ["WEB_PORT"])), sandbox, keys)
        until(lambda: house.doors.ask("GET", "/readyz").status == 200)
        yield house


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("name", NEEDED)
def test_trouble_is_waited_out(house: House, name: str, trouble: str) -> None:
    """While it lasts, the doors that need the server say 503 and the others serve; then what was said is said again,
    all of it is known, and what was due has gone once.
    """
    begin, end = TROUBLES[trouble]
    case = house.open()
    until(lambda: house.sent(case), 90)
    knocks = house.knocks(case)
    due, unmatched = house.open(), house.unmatched()
    begin(house.servers[name])
    try:
        with ThreadPoolExecutor(len(knocks)) as pool:
            said = dict(zip(knocks, pool.map(lambda knock: knock(), knocks.values()), strict=True))
    finally:
        end(house.servers[name])
    assert {door for door, status in said.items() if status == 503} == NEEDED[name]
    assert {status // 100 for door, status in said.items() if door not in NEEDED[name]} == {2}
    for door in NEEDED[name]:
        until(partial(taken, knocks[door]), 60)

    until(lambda: house.sent(due), 120)
    until(lambda: house.heard(case) and house.unmatched() > unmatched, 60)
    ended = until(lambda: house.case(case.id).ended, 60)
    assert ended.reason == "paid"
    assert [house.sent(each) for each in (case, due)] == [1, 1]
    assert [each.process.poll() for each in house.programs] == [None] * len(COMMANDS)


def test_nobody_failed_meanwhile(house: House) -> None:
    """Scheduler and doors said that they waited, as a warning; nothing of it was an error to anybody."""
    scheduler, *_, doors = house.programs
    assert doors.lines("store.away")
    house.servers["store"].kill()
    until(lambda: scheduler.lines("store.away"), 60)
    house.servers["store"].start()
    assert [line for each in house.programs for line in each.lines() if line["level"] == "error"] == []
