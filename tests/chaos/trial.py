"""Logs and facts written by hand, for the judge to be judged by: a run in which all went well, to be spoilt."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

#: When the run began, and when relance was asked to stop (Unix time).
BEGAN = 1_795_000_000.0
ENDED = BEGAN + 190
CHANNELS = ("email", "sms", "voice")
PATHS = {
    "email": "/v3/mail/send",
    "sms": "/2010-04-01/Accounts/AC0/Messages.json",
    "voice": "/2010-04-01/Accounts/AC0/Calls.json",
}
WORDS = {
    "email": ("processed", "delivered"),
    "sms": ("sent", "delivered"),
    "voice": ("initiated", "ringing", "answered", "completed"),
}


def stamp(second: float) -> str:
    """That second of the run, as the sandbox writes it."""
    return datetime.fromtimestamp(BEGAN + second, UTC).isoformat()


class Trial:
    """A run of so many debtors, each told three times, ten seconds apart, with one kill that hit. `log` and `facts`
    may be changed. `wrong`: the provider does as much wrong as it was to do; few messages are enough without.
    """

    def __init__(self, debtors: int = 3, *, wrong: bool = False) -> None:
        self.log: list[dict[str, Any]] = []
        self._accepted: dict[tuple[int, int], dict[str, Any]] = {}
        self.facts: dict[str, Any] = {
            "seed": 1,
            "bound": 6.0,
            "settles": True,
            "debtors": [],
            "cases": [],
            "kills": [],
            "kills_planned": 0,
            "kills_missed": [],
            "started": [],
            "deaths": [],
            "cut_off": [],
            "stopped": {"asked": ENDED, "code": 0, "seconds": 0.4},
        }
        for number in range(debtors):
            self._debtor(number)
        self.kill("scheduler", 10.05, 1)
        messages = [(number, step) for number in range(debtors) for step in (1, 2, 3)]
        for place, (number, step) in enumerate(messages if wrong else ()):
            self._spoil(number, step, place % 20)

    def accept(self, number: int, step: int, second: float, **changes: Any) -> None:
        """The sandbox is asked for that step's message at that second, accepts it a moment later, and tells of it."""
        channel = CHANNELS[step - 1]
        request = {"run": "r", "provider": "p", "channel": channel, "request": len(self.log)}
        message = {"attempt": f"chaos-{number}.{step}", "to": self.address(number, channel), "fault": None}
        message["id"] = f"id-{len(self.log)}"
        self.log += [
            {"event": "opened", "at": stamp(second), **request, "method": "POST", "path": PATHS[channel]},
            {"event": "accepted", "at": stamp(second + 0.1), **request, **message, **changes},
            {"event": "answered", "at": stamp(second + 0.2), **request, "status": 201},
        ]
        self._accepted[number, step] = self.log[-2]
        self._tell(self.log[-2], ((second + 0.3 + place / 10, word) for place, word in enumerate(WORDS[channel])))

    def receipts(self, number: int, step: int, *words: tuple[float, str]) -> None:
        """These receipts follow the last acceptance of that message, each at its second, instead of any others."""
        line = self.acceptance(number, step)
        self.log = [each for each in self.log if each["event"] != "posted" or each["id"] != line["id"]]
        self._tell(line, words)

    def _tell(self, line: dict[str, Any], words: Iterable[tuple[float, str]]) -> None:
        for second, word in words:
            told = {"id": line["id"], "what": "receipt", "said": word, "number": 1, "status": 200}
            if line["channel"] == "email":
                told |= {"what": "events", "said": [[line["id"], word]]}
            self.log.append({**line, "event": "posted", "at": stamp(second), **told})

    def acceptance(self, number: int, step: int) -> dict[str, Any]:
        """The sandbox's line of the last time that it accepted the message."""
        return self._accepted[number, step]

    def refuse(self, number: int, step: int) -> None:
        """The sandbox refused that message, and the case says so."""
        self.lose(number, step)
        self.say(number, step, "rejected")
        self.fail(number, step, "refuse", 400)

    def fail(self, number: int, step: int, fault: str, status: int) -> None:
        """The sandbox did not take an attempt at that message, and answered so."""
        channel = CHANNELS[step - 1]
        request = {"run": "r", "provider": "p", "channel": channel, "request": len(self.log) + 10_000}
        met = {"attempt": f"chaos-{number}.{step}", "to": self.address(number, channel), "fault": fault}
        self.log += [
            {"event": "opened", "at": stamp(50), **request, "method": "POST", "path": PATHS[channel]},
            {"event": "failed", "at": stamp(50.1), **request, **met},
            {"event": "answered", "at": stamp(50.2), **request, "status": status},
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
        case |= {"ended": "paid", "state": "ended", "agenda": None}
        self.facts["debtors"][number] |= {"pays": True, "paid": BEGAN + second + 0.01}

    def hold(self, number: int, reason: str) -> None:
        """The case waits for a person."""
        self.case(number).update(state="held", agenda=None, holds=[reason])

    def kill(self, part: str, second: float, back: float | None) -> None:
        """A part is killed as planned, and is there again so many seconds later, or never."""
        self.facts["kills"].append({"part": part, "at": BEGAN + second})
        self.facts["kills_planned"] += 1
        if back is not None:
            self.facts["started"].append({"part": part, "at": BEGAN + second + back})

    def case(self, number: int) -> dict[str, Any]:
        """What is said of a debtor's case."""
        found: dict[str, Any] = self.facts["cases"][number]
        return found

    @staticmethod
    def address(number: int, channel: str) -> str:
        """Where a debtor is reached."""
        return f"debtor-{number}@example.com" if channel == "email" else f"+3363998{number:04d}"

    def _spoil(self, number: int, step: int, way: int) -> None:
        """Of every twenty messages, each in its way."""
        line, second = self.acceptance(number, step), 10.0 * step + number
        word, *_, last = WORDS[line["channel"]]
        match way:
            case 0 | 1 | 2 | 3:
                line["fault"] = ("accept_then_drop", "accept_then_drop", "accept_then_500", "late")[way]
            case 4 | 5 | 6:
                self.receipts(number, step)
            case 7 | 8 | 9:
                self.log.append({**line, "event": "delayed", "seconds": 30.0})
            case 10 | 11:
                self.receipts(number, step, (second + 0.15, word), (second + 0.25, last))
            case 12 | 13:
                self.receipts(number, step, *((second + 1, each) for each in (word, last, word, last)))
            case 14 | 15:
                self.receipts(number, step, (second + 1, last), (second + 2, word))
            case 16 | 17 | 18:
                kind, status = (("hang", 0), ("429", 429), ("500", 500))[way - 16]
                self.fail(number, step, kind, status)

    def _debtor(self, number: int) -> None:
        to = {channel: self.address(number, channel) for channel in CHANNELS}
        self.facts["debtors"].append({"name": f"C-{number}", "to": to, "pays": False, "taken": BEGAN, "paid": None})
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
                "agenda": ENDED + 1000,
                "in_flight": None,
                "why": "its day has not come",
                "ended": None,
                "holds": [],
                "messages": messages,
                "folds": True,
                "history": history,
            }
        )
