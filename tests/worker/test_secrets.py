"""No secret is printed, logged or kept: everything runs, all goes wrong that can, and what is left is searched.

A search proves nothing that has met nothing: so there are tests of what was met, and a name that must be found.
"""

import base64
import itertools
import json
import os
import socket
import subprocess
import sys
import traceback
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, quote_plus

import pytest
import redis
from typer.testing import CliRunner

from channels.sandbox.sandbox import Credentials, Sandbox
from tests.conftest import ROOT
from worker.app import App
from worker.cli import app as commands
from worker.embedded import Embedded, Urls
from worker.rejected import RejectedJobs

from .payloads import reminder
from .programs import environment, living, program, run, sweep, until
from .rehearsal import NAME
from .rig import MORNING

SID = "AC" + "5ecae7" * 5 + "00"
SECRETS = {
    "TWILIO_ACCOUNT_SID": SID,
    "TWILIO_AUTH_TOKEN": "tw1lio/7oken+5ecret",
    "SENDGRID_API_KEY": "SG.s3ndgrid-key/5ecret+",
    "TWILIO_AUTH_TOKEN_PREVIOUS": "the/7oken+before",
    "SENDGRID_INBOUND_SECRET": "1nbound-pa7h-5ecret-of-32-letters",
    "RELANCE_SECRET_KEY": "5igns/every+link of the debtors...",
    "RELANCE_SECRET_KEY_PREVIOUS": "5igned/every+link of the debtors..",
    "SMTP_PASSWORD": "5mtp pa55/word+",
    "STORE_PASSWORD": "5t0re/pa55@word+",
    "QUEUE_PASSWORD": "queue/pa55@word+",
}
USER = "relance"
REHEARSE = ("--at", MORNING.strftime("%Y-%m-%dT%H:%M%z"), "--speed", "1")


def encoded(text: str) -> str:
    """As base64."""
    return base64.b64encode(text.encode()).decode()


def disguises(name: str) -> set[str]:
    """A secret as it is, and as libraries write it: in a URL, in a header, in an SMTP command, in JSON."""
    value = SECRETS[name]
    forms = {value, quote(value), quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], encoded(value)}
    if name == "TWILIO_AUTH_TOKEN":
        forms.add(encoded(f"{SID}:{value}"))
    if name == "SMTP_PASSWORD":
        forms.add(encoded(f"\0{USER}\0{value}"))
    return forms


@dataclass
class Remains:
    """What is left of a run, by where it was found, and the events that were logged."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, text: str) -> None:
        """Keep it."""
        self.texts[where] = self.texts.get(where, "") + text

    def events(self) -> set[str]:
        """What was logged."""
        lines = itertools.chain.from_iterable(text.splitlines() for text in self.texts.values())
        return {str(json.loads(line).get("event")) for line in lines if line.startswith('{"')}

    def holding(self, *forms: str) -> set[str]:
        """Where one of them can be read."""
        return {where for where, text in self.texts.items() if any(form in text for form in forms)}


class Scene:
    """Servers with passwords, a folder, and what was left behind in it."""

    def __init__(self, folder: Path, urls: Urls) -> None:
        self.folder = folder
        self.bare = urls
        self.left = Remains()
        self.urls = {
            "REDIS_URL": self._url(urls.redis_url, "STORE_PASSWORD"),
            "BROKER_URL": self._url(urls.broker_url, "QUEUE_PASSWORD"),
        }

    @staticmethod
    def _url(bare: str, name: str) -> str:
        return f"unix://:{quote(SECRETS[name], safe='')}@{bare.removeprefix('unix://')}"

    def lock(self, *, store: str = SECRETS["STORE_PASSWORD"]) -> None:
        """From here on the servers ask for their passwords."""
        for url, now, new in (
            (self.bare.redis_url, self.urls["REDIS_URL"], store),
            (self.bare.broker_url, self.urls["BROKER_URL"], SECRETS["QUEUE_PASSWORD"]),
        ):
            with suppress(redis.AuthenticationError), redis.Redis.from_url(url) as client:
                client.config_set("requirepass", new)
                continue
            with redis.Redis.from_url(now) as client:
                client.config_set("requirepass", new)

    def files(self, **values: str) -> dict[str, str]:
        """The variables for secrets that lie in files."""
        folder = self.folder / "secrets"
        folder.mkdir(exist_ok=True)
        for name, value in values.items():
            (folder / name).write_text(value + "\n")
        return {f"{name}_FILE": str(folder / name) for name in values}

    def relance(self, *arguments: str, stdin: str = "", **environ: str) -> int:
        """Run a command; what it prints is kept, and its exit code returned."""
        done = run(self.folder, *arguments, stdin=stdin, **environ)
        self.left.add(f"`{' '.join(arguments)}`", done.stdout + done.stderr)
        return done.returncode

    def here(self, *arguments: str, **environ: str) -> int:
        """As `relance`, in this process, in a fraction of the time; a traceback is kept as it would be printed."""
        variables = {**dict.fromkeys(set(os.environ) - {"PATH"}), "RELANCE_CONFIG": str(ROOT / "config"), **environ}
        result = CliRunner().invoke(commands, arguments, env=variables)
        crash = result.exception if not isinstance(result.exception, SystemExit) else None
        text = "".join(traceback.format_exception(crash)) if crash else ""
        self.left.add(f"`{' '.join(arguments)}`", result.output + text)
        return result.exit_code

    def empty(self) -> None:
        """Begin anew: the same jobs again would be repeated ones."""
        for url in self.urls.values():
            with redis.Redis.from_url(url) as client:
                client.flushall()

    def dump(self) -> None:
        """All that the two servers hold, as it is stored and as it is read, and all files but those of the secrets."""
        for name, url in self.urls.items():
            with redis.Redis.from_url(url) as client:
                for key in client.scan_iter(count=1000):
                    self.left.add(name, f"{key!r} {_value(client, key)}\n")
        app = App({**self.urls, "RELANCE_CONFIG": str(ROOT / "config")})
        for case_id in app.cases.case_ids("demo"):
            self.left.add("cases", f"{app.cases.load(case_id)!r}\n{app.cases.history(case_id)!r}\n")
        for job in RejectedJobs(app.client).all():
            self.left.add("rejected", f"{job!r}\n")
        app.close()
        for path in self.folder.rglob("*"):
            if path.is_file() and "secrets" not in path.parts and path.name != "sandbox.jsonl":
                where = "outbox" if "outbox" in path.parts else path.name
                self.left.add(where, path.read_text(encoding="utf-8", errors="replace"))


def _value(client: redis.Redis, key: bytes) -> object:
    read: dict[Any, Any] = {
        b"string": client.get, b"hash": client.hgetall, b"set": client.smembers, b"stream": client.xrange,
        b"list": lambda key: client.lrange(key, 0, -1), b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }  # fmt: skip
    return read[client.type(key)](key)


@contextmanager
def _scene(folder: Path) -> Iterator[Scene]:
    with Embedded(folder / "var") as urls:
        scene = Scene(folder, urls)
        try:
            yield scene
        finally:
            for url in scene.urls.values():
                with redis.Redis.from_url(url) as client:
                    client.config_set("requirepass", "")
            sweep_ours(folder)


def sweep_ours(folder: Path) -> None:
    """End what a failed run left, but not the servers, which end by themselves."""
    if any("worker.main" in words for words in living(folder).values()):
        sweep(folder)


def _job(number: int, **changes: object) -> str:
    known = {"id": f"D-{number}", "name": NAME, "kind": "business", "email": f"d{number}@example.com"}
    debtor = known | {"phone": "+33639980042"} | changes
    return json.dumps(reminder(job_id=f"j-{number}", debtor=debtor, invoices__0__number=f"F-{number}"))


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Remains:
    """What is left when everything ran and went wrong."""
    with (
        _scene(tmp_path_factory.mktemp("secrets")) as scene,
        Sandbox(
            credentials=Credentials(twilio=(SID, "another"), sendgrid="another", smtp=(USER, "another"))
        ) as sandbox,
    ):
        scene.lock()
        smtp = f"smtp://{USER}:{quote(SECRETS['SMTP_PASSWORD'], safe='')}@{sandbox.smtp_url.partition('//')[2]}"
        keys = {name: value for name, value in SECRETS.items() if not name.endswith("_PASSWORD")}
        public = {"PUBLIC_URL": "https://relance.example"}
        hosts = {"TWILIO_BASE_URL": sandbox.twilio_url, "SENDGRID_BASE_URL": sandbox.sendgrid_url}
        refused = scene.files(**scene.urls, **keys, SMTP_URL=smtp) | hosts | public
        _processes(scene, refused)
        nowhere = "127.0.0.1:9"
        down = (
            scene.urls
            | keys
            | public
            | {"TWILIO_BASE_URL": f"http://{nowhere}", "SENDGRID_BASE_URL": f"http://{nowhere}"}
        )
        down["SMTP_URL"] = f"{smtp.rpartition('@')[0]}@{nowhere}"
        _rehearsal(scene, refused)
        scene.dump()
        scene.empty()
        _rehearsal(scene, down)
        _commands(scene, down)
        _mistakes(scene, down)
        scene.dump()
    return scene.left


def _processes(scene: Scene, environ: dict[str, str]) -> None:
    """Scheduler, workers and web door as in production; the store's password changes under them, and back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = {**environ, "WEB_PORT": str(port)}
    with (
        program(scene.folder, "scheduler", *REHEARSE, **environ) as scheduler,
        program(scene.folder, "worker", **environ) as worker,
        program(scene.folder, "web", **asked) as web,
    ):
        until(lambda: web.lines("web.started") and scheduler.lines("scheduler.started"))
        until(lambda: len(worker.lines("worker.started")) == 5)
        jobs = [_job(1), _job(2, email=None), "{", json.dumps({"type": "reminder_due"})]
        scene.relance("enqueue", "-", "--queue", stdin="\n".join(jobs), **environ)
        until(lambda: len(worker.lines("call.answered")) >= 2)
        scene.left.add("/proc", "\n".join(living(scene.folder).values()))
        secret = SECRETS["SENDGRID_INBOUND_SECRET"]
        for path in ("twilio/voice/demo-x.1", f"sendgrid/inbound/{secret}", f"sendgrid/inbound/{secret}x"):
            with suppress(HTTPError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/webhooks/{path}", data=b"a=b", timeout=10)
        scene.lock(store="meanwhile")
        with redis.Redis.from_url(f"unix://:meanwhile@{scene.bare.redis_url.removeprefix('unix://')}") as client:
            client.client_kill_filter(_type="normal", skipme=True)
            until(lambda: scheduler.lines("store.away"))
            client.config_set("requirepass", SECRETS["STORE_PASSWORD"])
        for each in (scheduler, worker, web):
            each.stop()


def _rehearsal(scene: Scene, environ: dict[str, str]) -> None:
    """Scheduler and workers on all that can go wrong with jobs, with every library's loggers at DEBUG."""
    command = [sys.executable, "-m", "tests.worker.rehearsal"]
    done = subprocess.run(
        command, env=environment(**environ), cwd=scene.folder, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    scene.left.add("rehearsal", done.stdout + done.stderr)


def _commands(scene: Scene, environ: dict[str, str]) -> None:
    """What operators type."""
    app = App({**scene.urls, "RELANCE_CONFIG": str(ROOT / "config")})
    case_id = next(iter(app.cases.case_ids("demo")))
    app.close()
    plain = ("check", "status", "case list", "rejected list", "attempts uncertain list", "tasks list")
    for words in (*plain, "check --json", "status --json", f"explain {case_id}", f"case show {case_id}"):
        assert scene.here(*words.split(), **environ) == 0


def _mistakes(scene: Scene, environ: dict[str, str]) -> None:
    """Each of what can be set wrong, and a store that refuses or is not there; each command must fail."""
    secret = {name: quote(value, safe="") for name, value in SECRETS.items()}
    raw = SECRETS["STORE_PASSWORD"]
    wrong = {
        "refused": {"REDIS_URL": scene.urls["REDIS_URL"].replace(secret["STORE_PASSWORD"], secret["QUEUE_PASSWORD"])},
        "unreachable": {"REDIS_URL": f"redis://:{secret['STORE_PASSWORD']}@127.0.0.1:9/0"},
        "no such socket": {"REDIS_URL": f"unix://:{secret['STORE_PASSWORD']}@/nowhere"},
        "not encoded": {"REDIS_URL": f"redis://:{raw}@127.0.0.1/0"},
        "no such option": {"REDIS_URL": f"redis://127.0.0.1:9/?{secret['STORE_PASSWORD']}=1"},
        "the queue's": {"BROKER_URL": f"redis://:{SECRETS['QUEUE_PASSWORD']}@127.0.0.1/0"},
        "set twice": {"REDIS_URL_FILE": "/nowhere"},
        "a path": {"TWILIO_AUTH_TOKEN": "", "TWILIO_AUTH_TOKEN_FILE": SECRETS["TWILIO_AUTH_TOKEN"]},
        "two lines": {"TWILIO_AUTH_TOKEN": f"{SECRETS['TWILIO_AUTH_TOKEN']}\n{SECRETS['TWILIO_AUTH_TOKEN']}"},
        "public": {"PUBLIC_URL": f"https://{SECRETS['SENDGRID_API_KEY']}?a"},
        "half": {"TWILIO_ACCOUNT_SID": ""},
    }
    for words in wrong.values():
        assert scene.here("status", **{**environ, **words}) != 0
    for command in ("scheduler", "worker", "web", "up"):
        assert scene.relance(command, **{**environ, **wrong["refused"]}) != 0
    providers = {"SMTP_URL": f"smtp://{SECRETS['SMTP_PASSWORD']}", "TWILIO_BASE_URL": raw, "SENDGRID_BASE_URL": raw}
    for name, value in providers.items():
        assert scene.here("check", **{**environ, name: value}) == 1
        assert scene.here("status", **{**environ, name: value}) == 0


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_nowhere(left: Remains, name: str) -> None:
    """Not in what was printed or logged, a command line, a case, a queue, a rejected job, or the outbox."""
    assert left.holding(*disguises(name)) == set()


def test_the_search_finds_what_is_there(left: Remains) -> None:
    """A debtor's name lies in cases and in rejected jobs, where it belongs; it would be found elsewhere as well."""
    assert {"cases", "rejected"} <= left.holding(NAME)
    assert {"REDIS_URL", "BROKER_URL", "/proc", "rehearsal", "`status`"} <= left.texts.keys()


def test_everything_went_wrong(left: Remains) -> None:
    """Credentials refused, servers down, a store that refuses: what was searched has met all of it."""
    assert left.events() >= {
        "process.started", "scheduler.started", "worker.started", "web.started", "webhook.forged", "store.away",
        "attempt.unavailable", "job.rejected", "render.failed", "look.failed",
    }  # fmt: skip
    lines = itertools.chain.from_iterable(text.splitlines() for text in left.texts.values())
    codes = {str(json.loads(line)["code"]) for line in lines if '"call.answered"' in line}
    assert {"401", "535", "ConnectionRefusedError"} <= codes
