"""The outbox: files that look like what would have travelled, and answers like a provider's."""

import json
import multiprocessing
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from channels import registry
from channels.base import Accepted, Channel, Message, Rejected, Unavailable
from tests.channels.samples import EMAIL, ILLUSTRATED, PDF, PICTURE, SMS, VOICE


def outbox(folder: Path) -> Channel:
    """An outbox in this folder."""
    return registry.build("outbox", registry.settings_for("outbox", {"folder": str(folder)}), {})


def lines(folder: Path) -> list[dict[str, Any]]:
    """What the log holds."""
    return [json.loads(line) for line in (folder / "messages.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("message", "file", "words"),
    [
        (EMAIL, "email/atm_01HZY5.eml", b"Message-ID: <"),
        (SMS, "sms/atm_01HZY5.txt", SMS.text.encode()),
        (VOICE, "voice/atm_01HZY5.xml", b"<Say "),
        (replace(SMS, channel="task", to=""), "task/atm_01HZY5.txt", SMS.text.encode()),
    ],
)
def test_each_channel_writes_what_would_have_travelled(
    tmp_path: Path, message: Message, file: str, words: bytes
) -> None:
    """An email, a text or a call's document, and a line that says where it is."""
    assert outbox(tmp_path).send(message) == Accepted("outbox-atm_01HZY5")
    assert words in (tmp_path / file).read_bytes()
    (line,) = lines(tmp_path)
    assert (line["file"], line["id"], line["attempt"]) == (file, message.id, message.attempt)
    assert (line["to"], line["text"], line["channel"]) == (message.to, message.text, message.channel)


def test_the_email_can_be_opened(tmp_path: Path) -> None:
    """Any mail program reads the file, attachments and the pictures of its HTML included."""
    outbox(tmp_path).send(replace(ILLUSTRATED, attachments=(PDF, PICTURE)))
    mail = message_from_bytes((tmp_path / "email/atm_01HZY5.eml").read_bytes(), policy=default)
    assert mail["Subject"] == EMAIL.subject
    assert [part.get_filename() for part in mail.iter_attachments()] == [PDF.filename]
    assert [part["Content-ID"] for part in mail.walk() if part["Content-ID"]] == [f"<{PICTURE.content_id}>"]
    assert lines(tmp_path)[0]["attachments"] == [PDF.filename, PICTURE.filename]


@pytest.mark.parametrize("to", ["claire@bounce.invalid", "Claire@BOUNCE.invalid", "+33639980404"])
def test_some_addresses_bounce_on_purpose(tmp_path: Path, to: str) -> None:
    """A refusal can be rehearsed; it writes nothing."""
    with pytest.raises(Rejected) as caught:
        outbox(tmp_path).send(replace(EMAIL, to=to))
    assert caught.value.why == "address"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", ["claire@down.invalid", "+33639980503"])
def test_some_addresses_are_down_on_purpose(tmp_path: Path, to: str) -> None:
    """An outage can be rehearsed; it writes nothing."""
    with pytest.raises(Unavailable) as caught:
        outbox(tmp_path).send(replace(SMS, to=to))
    assert caught.value.why == "down"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    """What was not written down was not sent."""
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable):
        outbox(tmp_path / "file").send(SMS)


def test_an_attempt_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    """An id that looks like a path stays inside the folder."""
    outbox(tmp_path / "box").send(replace(SMS, attempt="../../escaped"))
    assert [path.name for path in tmp_path.iterdir()] == ["box"]


def write_many(folder: Path, worker: int) -> None:
    """One of several processes at work."""
    channel = outbox(folder)
    for number in range(50):
        channel.send(replace(SMS, attempt=f"{worker}-{number}", text=f"{worker}" * 5000))


def test_many_processes_write_without_mixing(tmp_path: Path) -> None:
    """Every message of every process is one whole line and one whole file."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=write_many, args=(tmp_path, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(set(line["text"]) == {line["attempt"][0]} for line in lines(tmp_path))
    assert len({line["attempt"] for line in lines(tmp_path)}) == 150
    assert len(list((tmp_path / "sms").iterdir())) == 150


def test_only_this_user_can_read_it(tmp_path: Path) -> None:
    """It holds names and numbers."""
    outbox(tmp_path / "box").send(SMS)
    paths = [tmp_path / "box", *(tmp_path / "box").rglob("*")]
    assert all(path.stat().st_mode & 0o077 == 0 for path in paths)
