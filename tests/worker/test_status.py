"""Who carries what, as `check`, `status` and the first log line say it."""

from pathlib import Path

import dramatiq
import pytest

from tests.conftest import ROOT, MakeApp
from worker.app import Setup
from worker.status import routes, status, without

from .config_copy import CHANNELS, DEMO, Copy
from .payloads import reminder
from .rig import MORNING, Rig, outbox

SENDGRID = {"SENDGRID_API_KEY": "SG.x", "SENDGRID_BASE_URL": "http://127.0.0.1:9"}
SMTP = {"SMTP_URL": "smtp://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({}, "outbox (writes files to var/outbox) [sendgrid lacks SENDGRID_API_KEY; smtp lacks SMTP_URL]"),
        (SENDGRID, "sendgrid (reaches nobody outside) [smtp lacks SMTP_URL]"),
        (SENDGRID | SMTP, "sendgrid (reaches nobody outside), smtp (reaches nobody outside)"),
        ({"SENDGRID_API_KEY": "SG.x"}, "sendgrid (reaches people) [smtp lacks SMTP_URL]"),
    ],
)
def test_a_route_names_who_carries_and_what_is_missing(make_app: MakeApp, environ: dict[str, str], says: str) -> None:
    """In order of preference; a base URL that is not the provider's own reaches nobody."""
    app = make_app(**environ)
    assert routes(app.config, app.providers)[0] == f"demo: email -> {says}"


STORE = {"REDIS_URL": "redis://store", "BROKER_URL": "redis://queue"}
DOOR = {"PUBLIC_URL": "https://relance.example", "TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t"}
DEAF = "a bounce or a complaint is not heard of; /webhooks/sendgrid/events answers 404"
CLOSED = "/webhooks/twilio/voice answers 404"
KEY = {"RELANCE_SECRET_KEY": "k" * 32}
NO_PAGE = "debtors' page: no message leads to one; /r and /u answer 404"


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        (STORE | DOOR | KEY, []),
        (STORE | DOOR, [f"{NO_PAGE} [RELANCE_SECRET_KEY is not set]"]),
        (DOOR | KEY, ["store and queue: those of `relance up`, in var/ [REDIS_URL is not set]"]),
        (
            {"REDIS_URL": "redis://store"} | DOOR | KEY,
            ["queue: on the store's server, next database [BROKER_URL is not set]"],
        ),
        (
            STORE,
            [
                f"calls: each speaks its message by itself; {CLOSED} [PUBLIC_URL and TWILIO_AUTH_TOKEN are not set]",
                f"{NO_PAGE} [PUBLIC_URL and RELANCE_SECRET_KEY are not set]",
            ],
        ),
        (
            STORE | DOOR | KEY | {"PUBLIC_URL": ""},
            [
                f"calls: each speaks its message by itself; {CLOSED} [PUBLIC_URL is not set]",
                f"{NO_PAGE} [PUBLIC_URL is not set]",
            ],
        ),
        (
            STORE | KEY | {"PUBLIC_URL": DOOR["PUBLIC_URL"]},
            [f"calls: {CLOSED} [TWILIO_AUTH_TOKEN is not set]"],
        ),
        (STORE | DOOR | KEY | SENDGRID | {"SENDGRID_WEBHOOK_PUBLIC_KEY": "key"}, []),
        (
            STORE | DOOR | KEY | SENDGRID,
            [f"emails: {DEAF} [SENDGRID_WEBHOOK_PUBLIC_KEY is not set]"],
        ),
    ],
)
def test_what_is_not_set_is_told_with_what_happens_then(environ: dict[str, str], says: list[str]) -> None:
    """Nobody has to read the code to know where jobs go, what a call says, and which door is shut."""
    setup = Setup({"RELANCE_CONFIG": str(ROOT / "config"), **environ})
    assert without(setup.environment, setup.providers) == says


def test_the_outbox_is_told_by_its_folder(make_app: MakeApp, tmp_path: Path) -> None:
    """Where the files are that were written instead of sent."""
    copy = Copy(tmp_path / "config")
    copy.edit(CHANNELS, "    kind: outbox\n", "    kind: outbox\n    folder: /srv/kept\n")
    app = make_app(config=copy.folder)
    assert "outbox (writes files to /srv/kept)" in routes(app.config, app.providers)[0]


def test_a_rehearsed_store_shows_that_a_real_provider_cannot_work(make_app: MakeApp) -> None:
    """Whoever asks for the status learns why nothing would go out."""
    app = make_app(SENDGRID_API_KEY="SG.x")
    make_app(at=MORNING, speed=1)
    (line, *_) = routes(app.config, app.providers)
    assert "sendgrid (cannot work: sendgrid reaches real people" in line


def test_a_creditor_in_shadow_uses_the_outbox_whatever_is_set(make_app: MakeApp, tmp_path: Path) -> None:
    """Everything runs and nothing is sent; tasks are a person's all the same."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", "mode: shadow")
    rig = Rig(make_app(at=MORNING, speed=1, config=copy.folder, **SENDGRID))
    found = routes(rig.app.config, rig.app.providers)
    assert found[0].startswith("demo: email -> outbox (writes files to var/outbox)")
    assert found[-1] == "demo: task -> task (reaches nobody outside)"
    rig.settle(rig.open())
    assert len(outbox(tmp_path)) == 1


POSTED = "  posted:\n    kind: postback\n    url: https://tasks.test\n"


def test_a_task_that_would_leave_is_no_exception_to_shadow(make_app: MakeApp, tmp_path: Path) -> None:
    """A task is exempt from shadow mode because it stays with us; one that is posted elsewhere does not."""
    copy = Copy(tmp_path / "config")
    copy.edit(CHANNELS, "providers: [task]", "providers: [posted, task]")
    copy.edit(CHANNELS, "\nproviders:\n", f"\nproviders:\n{POSTED}")
    app = make_app(config=copy.folder)
    assert routes(app.config, app.providers)[-1].startswith("demo: task -> posted (reaches people), task")
    copy.edit(DEMO, "mode: live", "mode: shadow")
    app = make_app(config=copy.folder)
    assert routes(app.config, app.providers)[-1] == "demo: task -> task (reaches nobody outside)"
    copy.edit(CHANNELS, "providers: [posted, task]", "providers: [posted]")
    app = make_app(config=copy.folder)
    assert routes(app.config, app.providers)[-1] == "demo: task -> outbox (writes files to var/outbox)"


@pytest.mark.parametrize(
    ("redirect", "carriers"),
    [
        ("email: me@example.com", ["sendgrid", "outbox", "outbox", "task"]),
        ("phone: +33 1 99 00 12 34", ["outbox", "twilio_sms", "twilio_voice", "task"]),
        ("email: me@example.com, phone: +33 1 99 00 12 34", ["sendgrid", "twilio_sms", "twilio_voice", "task"]),
    ],
)
def test_in_staging_only_what_has_an_address_leaves(
    make_app: MakeApp, tmp_path: Path, redirect: str, carriers: list[str]
) -> None:
    """With a redirect for emails alone, SMS and calls go to the outbox; and the other way round."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", f"redirect_to: {{{redirect}}}")
    twilio = {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "t", "TWILIO_BASE_URL": "http://127.0.0.1:9"}
    app = make_app(config=copy.folder, **SENDGRID, **twilio)
    assert [app.providers.route("demo", channel).providers[0] for channel in app.config.channels] == carriers


def test_a_creditor_with_an_account_of_its_own_uses_it(make_app: MakeApp, tmp_path: Path) -> None:
    """A provider entry names other variables; the other creditors keep theirs."""
    copy = Copy(tmp_path / "config")
    text = (copy.folder / DEMO).read_text().replace("id: demo", "id: second")
    (copy.folder / "creditors" / "second.yaml").write_text(text + "\nproviders:\n  email: [own]\n")
    copy.edit(
        CHANNELS,
        "providers:\n  sendgrid:",
        "providers:\n  own:\n    kind: sendgrid_email\n    api_key_env: OWN_KEY\n  sendgrid:",
    )
    app = make_app(config=copy.folder, OWN_KEY="SG.own")
    found = routes(app.config, app.providers)
    assert found[0].startswith("demo: email -> outbox")
    assert found[4] == "second: email -> own (reaches people)"


def test_in_flight_and_next_look_follow_the_case(make_app: MakeApp) -> None:
    """Reserved: in flight and on no agenda; sent: on the agenda again, at the next step's day."""
    rig = Rig(make_app(at=MORNING, speed=1))
    case = rig.open()
    assert (status(rig.app).in_flight, status(rig.app).next_look) == (0, rig.next_look(case))
    rig.reserve(case)
    found = status(rig.app)
    assert (found.in_flight, found.next_look, found.queues["email"]) == (1, None, 1)
    rig.deliver(case)
    found = status(rig.app)
    assert (found.in_flight, found.next_look) == (0, MORNING.replace(day=7, hour=9))


def test_the_queue_of_reminders_counts(make_app: MakeApp) -> None:
    """What upstream enqueued and nobody took is seen."""
    app = make_app()
    kwargs = {"job": reminder()}
    app.broker.enqueue(
        dramatiq.Message(queue_name="reminders", actor_name="reminder_due", args=(), kwargs=kwargs, options={})
    )
    assert status(app).queues["reminders"] == 1
