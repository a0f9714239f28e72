"""One screen: how the whole is doing, and who carries what."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from channels.base import ConfigurationError, Finder
from worker.app import VAR, App
from worker.config import OUTBOX, Config, Environment
from worker.messages import VOICE_DOOR
from worker.operations import orphaned, paused, tasks, uncertain_attempts
from worker.providers import Providers, Route
from worker.queues import FACTS, INBOUND, REMINDERS
from worker.ramp import in_line
from worker.rejected import RejectedJobs
from worker.silence import Silence, silences
from worker.stream import Behind, behind


@dataclass(frozen=True, slots=True)
class Status:
    """`lag`: how long the earliest agenda entry is overdue; `next_look`: when it is, if it is not.

    `in_line`: how many cases wait for their turn behind others (`ramp`), of each creditor that has any.
    `silent`: whose messages did not go out although they were to, an hour ago or longer.
    `webhooks`: how far each is behind. `orphaned`: how many open cases there are of creditors whose file is gone.
    """

    clock: str
    now: datetime
    config: str
    next_look: datetime | None
    lag: timedelta
    in_flight: int
    queues: dict[str, int]
    uncertain: int
    rejected: int
    tasks: int
    paused: dict[str, list[str]]
    in_line: dict[str, int]
    silent: dict[str, Silence]
    orphaned: dict[str, int]
    webhooks: dict[str, Behind | None]
    routes: tuple[str, ...]


def status(app: App) -> Status:
    """How it is now."""
    now = app.clock.now()
    due = min(app.cases.next_due(app.config.creditors).values(), default=None)
    return Status(
        clock="rehearsal" if app.clock.rehearsal else "real",
        now=now,
        config=app.config.digest,
        next_look=due,
        lag=max(timedelta(), now - due) if due else timedelta(),
        in_flight=app.cases.in_flight(app.config.creditors),
        queues=app.broker.waiting(REMINDERS, FACTS, INBOUND, *app.config.channels),
        uncertain=len(uncertain_attempts(app)),
        rejected=RejectedJobs(app.client).count(),
        tasks=len(tasks(app, app.config.creditors)),
        paused=paused(app),
        in_line={name: count for name, count in in_line(app).items() if count},
        silent=silences(app),
        orphaned=orphaned(app),
        webhooks=_webhooks(app),
        routes=tuple(routes(app.config, app.providers)),
    )


def _webhooks(app: App) -> dict[str, Behind | None]:
    """How far each creditor's webhook is behind; None if no forwarder has ever run."""
    return {name: behind(app.client, name) for name, creditor in app.config.creditors.items() if creditor.webhook}


def routes(config: Config, providers: Providers) -> list[str]:
    """A line per creditor and channel: who carries it, whether that reaches people, and what is missing."""
    return [
        f"{creditor}: {channel} -> {_words(providers, providers.route(creditor, channel))}"
        for creditor in config.creditors
        for channel in config.channels
    ]


def lists(config: Config, providers: Providers) -> list[str]:
    """A line per provider in use outside: can it be asked whether it took a message, and how long afterwards?"""
    used = {
        name: None
        for creditor in config.creditors
        for channel in config.channels
        for name in providers.route(creditor, channel).providers
    }
    return [line for name in used if (line := _list(providers, name))]


def _list(providers: Providers, name: str) -> str:
    try:
        provider = providers.get(name)
    except ConfigurationError:  # said of its routes
        return ""
    if not (isinstance(provider, Finder) and provider.finds):
        return f"{name}: cannot say whether it took a message"
    return f"{name}: says for {provider.reach.days} days whether it took a message" if provider.reach else ""


def without(environment: Environment, providers: Providers) -> list[str]:
    """A line per thing that is not set besides credentials, and what happens then. Nothing of a value is in it."""
    calls, emails = _calls(environment, providers), _emails(environment, providers)
    return [*_servers(environment), *calls, *emails, *_page(environment)]


def _servers(environment: Environment) -> list[str]:
    if not environment.redis_url:
        return [f"store and queue: those of `relance up`, in {VAR}/ [REDIS_URL is not set]"]
    return [] if environment.broker_url else ["queue: on the store's server, next database [BROKER_URL is not set]"]


def _calls(environment: Environment, providers: Providers) -> list[str]:
    tokens = providers.twilio_tokens()
    lacks = [] if environment.public_url else ["PUBLIC_URL"]
    lacks += [] if any(tokens.values()) or not tokens else [" or ".join(tokens)]
    if not lacks:
        return []
    alone = "" if environment.public_url else "each speaks its message by itself; "
    missing = f"{' and '.join(lacks)} {'is' if len(lacks) == 1 else 'are'} not set"
    return [f"calls: {alone}{VOICE_DOOR} answers 404 [{missing}]"]


def pages(environment: Environment) -> list[str]:
    """Where messages lead debtors to, if they lead them anywhere."""
    return (
        [] if _page(environment) else [f"debtors' page: {environment.public_url}/r/..., and every message leads to it"]
    )


def _page(environment: Environment) -> list[str]:
    lacks = [] if environment.public_url else ["PUBLIC_URL"]
    lacks += [] if environment.secret_keys else ["RELANCE_SECRET_KEY"]
    missing = f"{' and '.join(lacks)} {'is' if len(lacks) == 1 else 'are'} not set"
    return [f"debtors' page: no message leads to one; /r and /u answer 404 [{missing}]"] if lacks else []


def _emails(environment: Environment, providers: Providers) -> list[str]:
    """Who sends through SendGrid hears of bounces and complaints by its events alone."""
    if environment.event_key or not providers.able("sendgrid_email"):
        return []
    shut = "/webhooks/sendgrid/events answers 404"
    return [f"emails: a bounce or a complaint is not heard of; {shut} [SENDGRID_WEBHOOK_PUBLIC_KEY is not set]"]


def _words(providers: Providers, route: Route) -> str:
    names = ", ".join(f"{name} ({_reach(providers, name)})" for name in route.providers)
    return f"{names} [{route.lacks}]" if route.lacks else names


def _reach(providers: Providers, name: str) -> str:
    if name == OUTBOX:
        return f"writes files to {providers.outbox}"
    try:
        return "reaches people" if providers.get(name).real else "reaches nobody outside"
    except ConfigurationError as error:
        return f"cannot work: {error}"
