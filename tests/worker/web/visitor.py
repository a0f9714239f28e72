"""Somebody who opens the debtor's page: what they see, and the forms they send, over a real socket."""

import html
import http.client
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.conftest import MakeApp
from tests.worker.rig import MORNING, NUMBER, Rig, invoice, outbox
from worker.app import App
from worker.dunning.model import Case

from .served import serving

#: For links; nobody's.
SECRET = "0123456789abcdef" * 4


@dataclass(frozen=True)
class Shown:
    """What came back: `text` is the document as it is read, without tags."""

    status: int
    headers: Mapping[str, str]
    source: str

    @property
    def text(self) -> str:
        """What is read: blanks collapsed, no-break ones plain."""
        body = self.source.partition("<body>")[2]
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())

    @property
    def number(self) -> str:
        """The form's own number."""
        return re.search(r'name="number" value="([^"]+)"', self.source)[1]  # type: ignore[index]  # else the test fails


@dataclass
class Visitor:
    """A browser, the doors, and the case behind them."""

    rig: Rig
    case: Case
    base: str
    port: int
    channel: str = "email"

    @property
    def app(self) -> App:
        """The parts behind the doors."""
        return self.rig.app

    def token(self, purpose: str = "r", channel: str = "", today: date | None = None) -> str:
        """As it was sent in real time today."""
        assert self.app.links
        day = today or datetime.now(UTC).date()
        return self.app.links.token(purpose, self.case, channel or self.channel, day)  # type: ignore[arg-type]  # r or u

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Shown:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Shown(answer.status, dict(answer.headers), answer.read().decode())
        finally:
            connection.close()

    def open(self, done: str = "", channel: str = "") -> Shown:
        """The page."""
        return self.ask("GET", f"/r/{self.token(channel=channel)}{f'?done={done}' if done else ''}")

    def send(self, choice: str, number: str = "", via: str = "", **fields: str | list[str]) -> Shown:
        """A form, as a browser without a script sends it."""
        pairs: list[tuple[str, str]] = [("number", number or self.open(channel=via).number), ("answer", choice)]
        for name, value in fields.items():
            pairs += [(name, each) for each in ([value] if isinstance(value, str) else value)]
        return self.post(f"/r/{self.token(channel=via)}", urlencode(pairs).encode())

    def post(self, path: str, body: bytes, **headers: str) -> Shown:
        """Any form, from this very page."""
        own = {"Content_Type": "application/x-www-form-urlencoded", "Origin": "null", "Sec_Fetch_Site": "same-origin"}
        return self.ask("POST", path, body, **{**own, **headers})

    def said(self) -> list[str]:
        """The kinds of what the case keeps of answers."""
        return [said.kind for said in self.rig.case(self.case.id).said]

    def on(self, day: date, hour: int = 10) -> list[str]:
        """Let that day come; the channels of what has left until then."""
        self.rig.jump(datetime(day.year, day.month, day.day, hour, tzinfo=MORNING.tzinfo))
        self.rig.settle(self.case)
        return [line["channel"] for line in outbox(Path())]


@contextmanager
def visiting(make_app: MakeApp, *, reminded: bool = True, **changes: Any) -> Iterator[Visitor]:
    """A debtor with a mailbox and a phone, whose first reminder has left by email; `changes` as of `Rig.open`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        config = {"config": changes.pop("config")} if "config" in changes else {}
        rig = Rig(make_app(at=MORNING, speed=1, PUBLIC_URL=base, RELANCE_SECRET_KEY=SECRET, **config))
        case = rig.open(**{"debtor__phone": "+33639980101", **changes})
        if reminded:
            rig.settle(case)
        with serving(rig.app, listener):
            yield Visitor(rig, rig.case(case.id), base, port)


def several(mark: str = "") -> list[dict[str, Any]]:
    """Two invoices, one part-paid, and a credit note."""
    return [
        invoice(
            f"{NUMBER}{mark}",
            date(2026, 3, 31),
            "1200.50",
            subject="Rénovation <b>complète</b>",
            payment_url="https://pay.example/1",
        ),
        invoice(f"F-2026/002{mark}", date(2026, 3, 31), "800.00", outstanding="300.00"),
        invoice(f"A-2026/001{mark}", date(2026, 3, 31), "50.00", kind="credit_note"),
    ]
