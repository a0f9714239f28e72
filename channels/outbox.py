"""Files instead of people: every message is written into a folder, and answered as a provider would.

`<folder>/<channel>/<attempt>.eml|.txt|.xml` is what would have travelled, and `<folder>/messages.jsonl` gains one line
for each message accepted: the line is the acceptance. These addresses fail on purpose:

==========================  ==============================================
mailbox at bounce.invalid   rejected: nobody can be reached there
mailbox at down.invalid     unavailable
+33 6 39 98 04 04           rejected, as a mailbox at bounce.invalid
+33 6 39 98 05 03           unavailable, as a mailbox at down.invalid
==========================  ==============================================

The two numbers are in a range that the French plan keeps for fiction: no real person has them.
"""

import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from channels.base import Accepted, Found, Message, Rejected, Sought, Unavailable
from channels.mime import compose
from channels.outcome import writing
from channels.settings import ProviderSettings

BOUNCES = ("@bounce.invalid", "+33639980404")
DOWN = ("@down.invalid", "+33639980503")
LOG = "messages.jsonl"
#: By how much two clocks may differ.
SLACK = timedelta(seconds=60)


class Outbox:
    """Writes for any number of threads and processes at once."""

    class Settings(ProviderSettings):
        """`folder` is made where missing, for this user's eyes only: it holds personal data."""

        folder: Path = Path("var/outbox")

    channels: ClassVar[tuple[str, ...]] = ("email", "sms", "voice", "task")
    real = False
    bound = 5.0
    finds = proves = True
    reach = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def required(settings: Settings) -> list[str]:
        """No variables at all."""
        return []

    @classmethod
    def from_settings(cls, settings: Settings, environ: Mapping[str, str]) -> "Outbox":
        return cls(settings.folder)

    def send(self, message: Message) -> Accepted:
        """Write the message; accepted under "outbox-" and its attempt. A full disk is Unavailable("down")."""
        if message.to.lower().endswith(BOUNCES):
            raise Rejected("address", "550", "an address that bounces on purpose")
        if message.to.lower().endswith(DOWN):
            raise Unavailable("down", "503", "an address that is down on purpose")
        with writing():
            suffix, content = _rendering(message)
        try:
            self._store(message, suffix, content)
        except OSError as error:
            raise Unavailable("down", type(error).__name__, "the outbox cannot be written") from None
        return Accepted(f"outbox-{message.attempt}")

    def find(self, sought: Sought) -> Found | None:
        """Look into the log, whose line is the last thing that is written of a message."""
        name, wanted = ("id", sought.message) if sought.any_try else ("attempt", sought.attempt)
        for entry in self._logged(wanted):
            ours = entry[name] == wanted and entry["provider_id"] not in sought.known
            if ours and datetime.fromisoformat(entry["at"]) >= sought.begun - SLACK:
                return Found(entry["provider_id"])
        return None

    def _logged(self, word: str) -> Iterator[dict[str, Any]]:
        """The lines that have that word in them; a line that a full disk cut off is none."""
        try:
            with (self._folder / LOG).open() as log:
                for line in log:
                    if word in line and line.endswith("\n"):
                        yield json.loads(line)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise Unavailable("down", type(error).__name__, "the outbox cannot be read") from None

    def _store(self, message: Message, suffix: str, content: bytes) -> None:
        folder = self._folder / message.channel
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / (re.sub(r"[^A-Za-z0-9._-]", "_", message.attempt).lstrip(".") + suffix)
        _replace(path, content)
        _append(self._folder / LOG, _line(message, path.relative_to(self._folder)))


def _rendering(message: Message) -> tuple[str, bytes]:
    if message.channel == "email":
        return ".eml", compose(message)
    if message.channel == "voice":
        from channels.twiml import neutral_twiml

        return ".xml", neutral_twiml(message.text, message.language).encode()
    return ".txt", message.text.encode()


def _line(message: Message, path: Path) -> bytes:
    record = {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "provider_id": f"outbox-{message.attempt}",
        "id": message.id,
        "attempt": message.attempt,
        "reference": message.reference,
        "channel": message.channel,
        "to": message.to,
        "sender": message.sender,
        "subject": message.subject,
        "text": message.text,
        "attachments": [attachment.filename for attachment in message.attachments],
        "file": str(path),
    }
    return json.dumps(record).encode() + b"\n"


def _replace(path: Path, content: bytes) -> None:
    """A reader sees the whole file or none."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as draft:
        draft.write(content)
    os.replace(draft.name, path)


def _append(path: Path, line: bytes) -> None:
    """One write to a file opened for appending: lines of many processes do not mix."""
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(log, line)
    finally:
        os.close(log)
