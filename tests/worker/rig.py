"""Real parts, put together so that a test can stop between any two of them.

A `Rig` drives the functions that scheduler and workers run, on a real store and a real broker, with the outbox as the
provider. `Tapped` providers call back before and after each send; a `Tripwire` cuts the wire to the store.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dramatiq
import redis

from channels.base import Accepted, Channel, ChannelError, Finder, Found, Message, Recaller, Sought
from worker.app import App
from worker.cases import Cases, Conflict, Refused
from worker.clock import Clock, RehearsalClock
from worker.commit import Commit, Keys
from worker.dunning.events import Event
from worker.dunning.model import Case, attempt_id, parse_attempt_id
from worker.intake import Taken, take
from worker.providers import Providers
from worker.scheduler import Scheduler
from worker.sending import deliver
from worker.settling import recall, settle

from .payloads import fact, reminder

PARIS = ZoneInfo("Europe/Paris")
#: The invoice of `payloads.reminder`.
NUMBER = "F-2026/001"
#: A Wednesday at ten: the day after it was due, in the window of `b2b`.
MORNING = datetime(2026, 4, 1, 10, tzinfo=PARIS)
#: When upstream's books said so, unless a test says otherwise.
ENQUEUED = datetime(2026, 3, 31, 9, tzinfo=PARIS)

Hook = Callable[[], object]


class Tapped:
    """A provider that counts what it is given, and lets a test act before and after, or answer in its place."""

    def __init__(self, inner: Channel) -> None:
        self._inner = inner
        self.real, self.bound = inner.real, inner.bound
        self.finds, self.proves = getattr(inner, "finds", False), getattr(inner, "proves", False)
        self.reach = getattr(inner, "reach", None)
        self.messages: list[Message] = []
        self.before: Hook = lambda: None
        self.after: Hook = lambda: None
        self.answers: list[ChannelError] = []
        self.unread: list[ChannelError] = []

    def send(self, message: Message) -> Accepted:
        """As the provider behind it, unless an answer was prepared."""
        self.before()
        self.messages.append(message)
        if self.answers:
            raise self.answers.pop(0)
        accepted = self._inner.send(message)
        self.after()
        return accepted

    def find(self, sought: Sought) -> Found | None:
        """As the provider behind it, unless its list is not to be read."""
        if self.unread:
            raise self.unread.pop(0)
        assert isinstance(self._inner, Finder)
        return self._inner.find(sought)

    def recall(self, provider_id: str) -> bool:
        """As the provider behind it, if it can."""
        return isinstance(self._inner, Recaller) and self._inner.recall(provider_id)


class TappedProviders(Providers):
    """The configured providers, each of them tapped.

    `got` is called when one is fetched: rendered, not begun.
    """

    def __init__(self, app: App) -> None:
        super().__init__(app.config, app.environ)
        self.taps: dict[str, Tapped] = {}
        self.got: Hook = lambda: None

    def get(self, name: str) -> Tapped:
        """The tapped provider."""
        self.got()
        if name not in self.taps:
            self.taps[name] = Tapped(super().get(name))
        return self.taps[name]


class HookedCases(Cases):
    """The store, with something that happens between what was read and the next commit."""

    def __init__(self, client: redis.Redis, meanwhile: Hook) -> None:
        super().__init__(client)
        self._meanwhile: list[Hook] = [meanwhile]

    def commit(self, commit: Commit, *, durable: bool = False) -> None:
        """As the store does, a little late the first time."""
        self._let_others_go_first()
        super().commit(commit, durable=durable)

    def commit_each(self, commits: Sequence[Commit]) -> list[Conflict | Refused | redis.RedisError | None]:
        """The same for several."""
        self._let_others_go_first()
        return super().commit_each(commits)

    def _let_others_go_first(self) -> None:
        while self._meanwhile:
            self._meanwhile.pop()()


class Later:
    """A clock whose real time is ahead: leases have run out. Ladder time is another clock's."""

    def __init__(self, clock: Clock, ahead: timedelta) -> None:
        self.behind, self.ahead = clock, ahead
        self.rehearsal = clock.rehearsal

    def now(self) -> datetime:
        """Ladder time, as it was."""
        return self.behind.now()

    def real(self) -> datetime:
        """Real time, ahead."""
        return self.behind.real() + self.ahead

    def ladder_after(self, wait: timedelta) -> datetime:
        """As the clock behind it."""
        return self.behind.ladder_after(wait)


class Wall:
    """The clock of production, which stands where a test puts it: all is real, and the guards are on."""

    rehearsal = False

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        """Ladder time."""
        return self.moment.astimezone(UTC)

    def real(self) -> datetime:
        """The same."""
        return self.now()

    def ladder_after(self, wait: timedelta) -> datetime:
        """The same wait."""
        return self.now() + wait


class Rig:
    """One app, its scheduler and its outbox, to be moved by hand."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.providers = TappedProviders(app)
        app.providers = self.providers
        self.scheduler = Scheduler(app, app.broker)

    @property
    def tap(self) -> Tapped:
        """The outbox."""
        self.providers.get("outbox")
        return self.providers.taps["outbox"]

    def take(self, payload: dict[str, Any], at: datetime = ENQUEUED) -> Taken:
        """Take a job in, as enqueued at that moment."""
        return take(self.app, payload, enqueued_at=at)

    def open(self, **changes: Any) -> Case:
        """Open a case with `payloads.reminder`, changed so; returns it."""
        return self.case(self.take(reminder(**changes)).cases[0])

    def pay(self, amount: str = "1200.50", job_id: str = "pay-1", **fields: Any) -> Taken:
        """The invoice of `payloads.reminder` is paid, later than anything known."""
        about = {} if "case" in fields else {"invoice": NUMBER}
        named = {**about, "amount": amount, "currency": "EUR", **fields}
        return self.take(fact("payment_received", job_id=job_id, **named), ENQUEUED + timedelta(hours=3))

    def case(self, case_id: str) -> Case:
        """The case as stored."""
        stored = self.app.cases.load(case_id)
        assert stored is not None
        return stored.case

    def history(self, case: Case) -> list[Event]:
        """Its events."""
        return self.app.cases.history(case.id)

    def kinds(self, case: Case) -> list[str]:
        """The names of its events."""
        return [type(event).__name__ for event in self.history(case)]

    def reserved(self, case: Case) -> list[str]:
        """The ids of attempts nobody has begun."""
        return [attempt_id(case, s.attempt) for _, s in self.case(case.id).open_sends() if s.status == "reserved"]

    def reserve(self, case: Case) -> str:
        """Tick until one attempt is reserved; its id."""
        self.tick()
        (attempt,) = self.reserved(case)
        return attempt

    def tick(self) -> int:
        """One beat, a moment after what came before: the agenda is kept to the millisecond, rounded up."""
        time.sleep(0.002)
        return self.scheduler.tick()

    def deliver(self, case: Case) -> None:
        """Send what is reserved, as the channel's worker would."""
        for attempt in self.reserved(case):
            deliver(self.app, attempt, None)

    def ask(self, case: Case) -> None:
        """Ask providers what the queue says is to be asked, as the channels' workers would."""
        for asked in list(self._asked(case)):
            (settle if asked["what"] == "settle" else recall)(self.app, asked["attempt"])

    def _asked(self, case: Case) -> Iterator[dict[str, str]]:
        """What a scheduler put into the queue to be asked about the case, taken out of it."""
        client = self.app.broker.client
        for channel in self.app.config.channels:
            ids, texts = f"dramatiq:{channel}", f"dramatiq:{channel}.msgs"
            found: Any = client.hgetall(texts)
            for name, text in found.items():
                message = dramatiq.Message.decode(text)
                of_it = parse_attempt_id(message.kwargs["attempt"])[0] == case.id
                if message.actor_name.startswith("ask_") and of_it:
                    client.lrem(ids, 0, name)
                    client.hdel(texts, name)
                    yield message.kwargs

    def settle(self, case: Case, rounds: int = 6) -> None:
        """Let scheduler and workers go on until nothing happens at this moment; of what is in doubt nobody is asked."""
        for _ in range(rounds):
            self.tick()
            self.deliver(case)

    def go_on(self, case: Case, rounds: int = 6) -> None:
        """Let scheduler and workers go on until nothing happens at this moment."""
        for _ in range(rounds):
            self.tick()
            self.deliver(case)
            self.ask(case)

    def wait(self, time_passed: timedelta) -> None:
        """Let so much time pass, on the ladder's clock and on the real one."""
        clock = self.app.clock
        ahead = clock.ahead if isinstance(clock, Later) else timedelta()
        base = clock.behind if isinstance(clock, Later) else clock
        assert isinstance(base, RehearsalClock)
        base.skip_to(base.now() + time_passed)
        self.app.clock = Later(base, ahead + time_passed)

    def jump(self, moment: datetime) -> None:
        """Let it be that moment (a rehearsal, or a `Wall`)."""
        clock = self.app.clock
        if isinstance(clock, Wall):
            clock.moment = moment
            return
        assert isinstance(clock, RehearsalClock)
        clock.skip_to(moment)

    def lose_leases(self, ahead: timedelta = timedelta(minutes=10)) -> None:
        """Let so much real time pass that every lease has run out."""
        self.app.clock = Later(self.app.clock, ahead)

    def next_look(self, case: Case) -> datetime | None:
        """When the agenda has the case."""
        score = self.app.client.zscore(Keys(case.creditor).agenda, case.id)
        return datetime.fromtimestamp(score / 1000, UTC) if isinstance(score, float) else None

    def in_flight(self, case: Case) -> bool:
        """Is somebody on it?"""
        return self.app.client.zscore(Keys(case.creditor).in_flight, case.id) is not None

    def contacts(self, case: Case) -> list[str]:
        """The debtor's contact log."""
        members: Any = self.app.client.zrange(Keys(case.creditor).contacts(case.id), 0, -1)
        return list(members)


def bury_workers(app: App) -> None:
    """Let nobody have heard of any worker for so long that the queue's server takes them for dead."""
    client, heartbeats = app.broker.client, "dramatiq:__heartbeats__"
    workers: Any = client.zrange(heartbeats, 0, -1)
    for worker in workers:
        client.zadd(heartbeats, {worker: 1})


def outbox(folder: Path) -> list[dict[str, Any]]:
    """What the outbox accepted."""
    log = folder / "var" / "outbox" / "messages.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def invoice(number: str, due_on: date, amount: str = "100.00", **more: Any) -> dict[str, Any]:
    """An invoice as upstream writes it."""
    issued = due_on - timedelta(days=30)
    return {
        "number": number,
        "issued_on": issued.isoformat(),
        "due_on": due_on.isoformat(),
        "amount": amount,
        "currency": "EUR",
        **more,
    }


class Crash(BaseException):
    """The process died here."""


class Tripwire(redis.UnixDomainSocketConnection):
    """A connection to the store that dies at the n-th command, before it leaves or after its answer came."""

    countdown = -1
    after = False
    count = 0

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send, unless this is the one."""
        if not self.armed():
            super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]
            return
        if type(self).after:
            super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]
            self.read_all()
        self.disconnect()  # type: ignore[no-untyped-call]
        raise Crash

    def read_all(self) -> None:
        """Wait until the server has done it: its answer is there, and is lost."""
        self._parser.can_read(5)

    @classmethod
    def armed(cls) -> bool:
        """Count down; is this the one?"""
        cls.count += 1
        cls.countdown -= 1
        return cls.countdown == 0

    @classmethod
    def arm(cls, countdown: int, *, after: bool = False) -> None:
        """Die at the n-th command from here; -1: never."""
        cls.count, cls.countdown, cls.after = 0, countdown, after


def tripping_client(url: str) -> redis.Redis:
    """A client whose connections are tripwires."""
    path = url.removeprefix("unix://")
    pool = redis.ConnectionPool(connection_class=Tripwire, path=path, decode_responses=True)
    return redis.Redis(connection_pool=pool)


def index_of(kinds: Sequence[str], kind: str) -> int:
    """Where that event is; past the end if it never was."""
    return kinds.index(kind) if kind in kinds else len(kinds)


def at(hour: int) -> str:
    """That hour of the day on which the case is opened at nine."""
    return ENQUEUED.replace(hour=hour).isoformat()


def paid(hour: int, amount: str = "1200.50", kind: str = "payment_received", **fields: Any) -> dict[str, Any]:
    """A payment of the invoice as the books had it at that hour."""
    job_id = f"{kind}-{hour}-{amount.replace('.', '')}"
    about = {} if "case" in fields else {"invoice": NUMBER}
    named = {"job_id": job_id, "as_of": at(hour), "amount": amount, "currency": "EUR"}
    return fact(kind, **{**about, **named, **fields})


def stated(hour: int, outstanding: str, **changes: Any) -> dict[str, Any]:
    """A reminder that says what is outstanding at that hour."""
    fields = {"job_id": f"s-{hour}-{outstanding}", "as_of": at(hour), "invoices__0__outstanding": outstanding}
    return reminder(**{**fields, **changes})
