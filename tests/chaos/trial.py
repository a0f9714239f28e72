"""Logs and facts written by hand, for the judge to be judged by: a run in which all went well, to be spoilt."""

from datetime import UTC, datetime
from typing import Any

#: When the run began (Unix time).
BEGAN = 1_795_000_000.0
CHANNELS = ("email", "sms", "voice")
PATHS = {
    "email": "/v3/mail/send",
    "sms": "/2010-04-01/Accounts/AC0/Messages.json",
    "voice": "/2010-04-01/Accounts/AC0/Calls.json",
}


def stamp(second: float) -> str:
    """That second of the run, as the sandbox writes it."""
    return datetime.fromtimestamp(BEGAN + second, UTC).isoformat()


class Trial:
    """A run of so many debtors, each told three times, ten seconds apart. `log` and `facts` may be changed."""

    def __init__(self, debtors: int = 3) -> None:
        self.log: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {
            "seed": 1,
            "bound": 6.0,
            "settles": True,
            "ladder_now": "2026-07-01T00:00:00+00:00",
            "debtors": [],
            "cases": [],
            "kills": [],
            "started": [],
            "deaths": [],
            "unstopped": [],
        }
        for number in range(debtors):
            self._debtor(number)

    def accept(self, number: int, step: int, second: float, **changes: Any) -> None:
        """The sandbox is asked for that step's message at that second, and accepts it a moment later."""
        channel = CHANNELS[step - 1]
        request = {"run": "r", "provider": "p", "channel": channel, "request": len(self.log)}
        message = {"attempt": f"chaos-{number}.{step}", "to": self.address(number, channel), "fault": None}
        self.log += [
            {"event": "opened", "at": stamp(second), **request, "method": "POST", "path": PATHS[channel]},
            {"event": "accepted", "at": stamp(second + 0.1), **request, **message, **changes},
            {"event": "answered", "at": stamp(second + 0.2), **request, "status": 201},
        ]

    def refuse(self, number: int, step: int) -> None:
        """The sandbox refused that message, and the case says so."""
        self.lose(number, step)
        self.say(number, step, "rejected")
        request = {"run": "r", "provider": "p", "channel": CHANNELS[step - 1], "request": len(self.log) + 10_000}
        self.log += [
            {"event": "opened", "at": stamp(50), **request, "method": "POST", "path": PATHS[CHANNELS[step - 1]]},
            {"event": "answered", "at": stamp(50.2), **request, "status": 400},
        ]

    def lose(self, number: int, step: int) -> None:
        """The sandbox never accepted that message."""
        lost = (CHANNELS[step - 1], self.address(number, CHANNELS[step - 1]))
        self.log = [line for line in self.log if line["event"] != "accepted" or (line["channel"], line["to"]) != lost]

    def say(self, number: int, step: int, status: str) -> None:
        """What the case says of that message."""
        self.case(number)["messages"][step - 1]["status"] = status

    def pay(self, number: int, second: float) -> None:
        """The debtor pays at that second, and the case ends; whatever was begun before stays in its history."""
        case = self.case(number)
        paid = {"type": "PaymentReceived", "committed": BEGAN + second}
        case["history"] = sorted([*case["history"], paid], key=lambda event: event["committed"])
        case |= {"ended": "paid", "state": "ended", "at": None}
        self.facts["debtors"][number]["paid"] = BEGAN + second + 0.01

    def kill(self, part: str, second: float, back: float) -> None:
        """A part is killed, and is there again so many seconds later."""
        self.facts["kills"].append({"part": part, "at": BEGAN + second})
        self.facts["started"].append({"part": part, "at": BEGAN + second + back})

    def case(self, number: int) -> dict[str, Any]:
        """What is said of a debtor's case."""
        found: dict[str, Any] = self.facts["cases"][number]
        return found

    @staticmethod
    def address(number: int, channel: str) -> str:
        """Where a debtor is reached."""
        return f"debtor-{number}@example.com" if channel == "email" else f"+3363998{number:04d}"

    def _debtor(self, number: int) -> None:
        to = {channel: self.address(number, channel) for channel in CHANNELS}
        self.facts["debtors"].append({"name": f"C-{number}", "to": to, "taken": BEGAN, "paid": None})
        history: list[dict[str, Any]] = [{"type": "CaseOpened", "committed": BEGAN}]
        messages = []
        for step, channel in enumerate(CHANNELS, start=1):
            second = 10.0 * step + number
            self.accept(number, step, second)
            history.append({"type": "AttemptBegun", "attempt": step, "committed": BEGAN + second - 0.05})
            messages.append({"step": f"step_{step}", "channel": channel, "status": "accepted", "code": ""})
        self.facts["cases"].append(
            {
                "case": f"chaos-{number}",
                "debtor": f"C-{number}",
                "state": "waiting",
                "next": "afterwards",
                "at": "2027-04-01T00:00:00+00:00",
                "why": "its day has not come",
                "ended": None,
                "holds": [],
                "messages": messages,
                "folds": True,
                "history": history,
            }
        )
