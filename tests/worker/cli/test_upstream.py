"""What goes between relance and the billing system, from the command line and as a process of its own."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.channels.peers import Provider, Reply
from tests.conftest import ROOT, MakeApp
from tests.worker.config_copy import DEMO, Copy
from tests.worker.programs import program, run, until
from tests.worker.rig import Rig
from worker.config import load
from worker.stream import join

from .conftest import Relance

EXAMPLES = str(ROOT / "config" / "examples" / "reminders.jsonl")
COUNT = len(Path(EXAMPLES).read_text(encoding="utf-8").splitlines())


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A receiver on loopback."""
    server = Provider()
    yield server
    server.close()


@pytest.fixture
def hooked(provider: Provider, tmp_path: Path) -> str:
    """A configuration with a webhook to it."""
    copy = Copy(tmp_path / "hooked")
    copy.edit(DEMO, "mode: live", f"webhook: {{url: '{provider.url}', secret_env: DEMO_SECRET}}")
    return str(copy.folder)


def lines(text: str) -> list[dict[str, Any]]:
    """JSON, one object a line."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_key_opens_nothing_until_its_hash_is_in_the_file(relance: Relance, tmp_path: Path) -> None:
    """The lines that are printed are those that the file takes; no two keys are the same."""
    made, other = relance.json("api-key", "demo"), relance.json("api-key", "demo")
    assert made["key"] != other["key"]
    copy = Copy(tmp_path / "keyed")
    _, _, shown = relance.says("api-key", "demo").partition("api_keys:")
    copy.edit(DEMO, "mode: live", f"api_keys:{shown}  - {made['api_key']}")
    keys = load(copy.folder).creditors["demo"].api_keys
    assert (len(keys), keys[1]) == (2, made["api_key"])
    assert made["key"] not in made["api_key"]


def test_a_key_of_two_creditors_is_refused(tmp_path: Path) -> None:
    """Whose door would it open?"""
    copy = Copy(tmp_path / "keyed")
    copy.edit(DEMO, "mode: live", f"api_keys: ['sha256:{'0' * 64}']")
    shutil.copy(copy.folder / DEMO, copy.folder / "creditors" / "acme.yaml")
    copy.edit("creditors/acme.yaml", "id: demo", "id: acme")
    (only,) = copy.problems()
    assert only.startswith("creditors/demo.yaml: api_keys.0: the same key as 'acme' has (line ")


def test_a_replay_prints_what_the_stream_has(relance: Relance) -> None:
    """One JSON object a line, from that moment on; what the stream lost is said, and nobody takes it for nothing."""
    relance.says("enqueue", EXAMPLES)
    found = relance("events", "replay", "demo", "--since", "2020-01-01")
    everything = lines(found.stdout)
    assert len(everything) == COUNT
    assert everything[0].keys() == {"id", "case", "version", "event"}
    assert "the stream begins with" in found.stderr
    assert relance.says("events", "replay", "demo", "--since", "2100-01-01T00:00+00:00") == ""
    assert "is not known" in relance.refuses("events", "replay", "nobody", "--since", "2020-01-01")
    assert "has no webhook" in relance.refuses("events", "replay", "demo", "--since", "2020-01-01", "--to", "webhook")


def test_a_replay_tells_the_webhook_again(relance: Relance, provider: Provider, hooked: str) -> None:
    """Under the old ids, in order; it stops at the first that is not taken, and says from where to go on."""
    relance.says("enqueue", EXAMPLES)
    replay = ("events", "replay", "demo", "--since", "2020-01-01")
    known = [each["id"] for each in lines(relance.says(*replay))]
    environ: dict[str, Any] = {"RELANCE_CONFIG": hooked, "DEMO_SECRET": "s"}
    relance.says(*replay, "--to", "webhook", **environ)
    assert [request.headers["X-Relance-Event"] for request in provider.requests] == known
    provider.reply = Reply(503)
    said = relance.refuses(*replay, "--to", "webhook", **environ)
    assert "0 events were taken, then one was not (503): go on with --since " in said
    again = said.split("--since ")[1].strip()
    provider.reply = Reply(200)
    provider.requests.clear()
    relance.says("events", "replay", "demo", "--since", again, "--to", "webhook", **environ)
    assert [request.headers["X-Relance-Event"] for request in provider.requests] == known


def test_a_missing_secret_is_said_before_anything_starts(relance: Relance, hooked: str) -> None:
    """By `check`, and by the process that would sign with it."""
    assert "creditors.demo.webhook: cannot work: DEMO_SECRET is not set" in relance.refuses(
        "check", RELANCE_CONFIG=hooked
    )
    assert "creditors.demo.webhook: DEMO_SECRET is not set" in relance.refuses("forward", code=2, RELANCE_CONFIG=hooked)


def test_the_status_says_how_far_a_webhook_is_behind(
    relance: Relance, make_app: MakeApp, hooked: str, provider: Provider
) -> None:
    """Nobody ran: said so. Then how many events wait, and since when."""
    environ = {"RELANCE_CONFIG": hooked, "DEMO_SECRET": "s"}
    assert "webhook\tdemo: nothing goes out, and nothing is kept for it" in relance.says("status", **environ)
    app = make_app(config=Path(hooked), DEMO_SECRET="s")
    join(app.client, "demo")
    Rig(app).open()
    assert "webhook\tdemo: 1 events behind, the oldest of " in relance.says("status", **environ)
    assert relance.json("status", **environ)["webhooks"]["demo"]["entries"] == 1


def test_up_hands_events_on(tmp_path: Path, hooked: str, provider: Provider) -> None:
    """`relance up` runs a forwarder where there is a webhook; nothing that happens from its start on is left out."""
    folder, environ = tmp_path / "here", {"RELANCE_CONFIG": hooked, "DEMO_SECRET": "s"}
    folder.mkdir()
    with program(folder, "up", **environ) as up:
        until(lambda: "scheduler.started" in up.text())
        assert run(folder, "enqueue", EXAMPLES, **environ).returncode == 0
        until(lambda: "forward.started" in up.text())
        until(lambda: len({request.headers["X-Relance-Event"] for request in provider.requests}) >= COUNT)
        assert up.stop() == 0
    assert "forward.stopped" in up.text()
    opened = [json.loads(request.body)["event"]["type"] for request in provider.requests]
    assert opened.count("CaseOpened") == COUNT
