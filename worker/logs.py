"""structlog, one JSON object a line, pretty on a terminal. No name, address or number in clear: fields are ids.

Our own lines go straight to stderr. Other libraries' pass through here too; those that print what they send are
silenced below WARNING, and dramatiq's messages are reduced to their id.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from functools import cache
from typing import Any

import structlog
from dramatiq.broker import MessageProxy
from dramatiq.message import Message

from worker.dunning.events import AddressRestored, AddressSuppressed, AnswerReceived, Event, HoldPlaced, PaymentFailed
from worker.dunning.model import Case, attempt_id

#: Libraries that log addresses, bodies or keys below this level.
_CHATTY = (
    "twilio.http_client", "python_http_client", "urllib3", "requests", "asyncio", "uvicorn.access",
    "worker.actors",  # where dramatiq logs, under an actor's name, what it was called with
)  # fmt: skip


_log = structlog.get_logger("relance.case")


def configure(*, pretty: bool | None = None, level: int = logging.INFO) -> None:
    """Set up both worlds; to stderr, so that a command's own output stays clean."""
    on_terminal = sys.stderr.isatty() if pretty is None else pretty
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last = [_safe_traceback, structlog.dev.ConsoleRenderer() if on_terminal else _json]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Stderr,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            foreign_pre_chain=shared,
        )
    )
    handler.addFilter(_only_ids)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Stderr:
    """Writes a whole line at once to what is standard error at that moment.

    A line that nobody can read any more (a pipe that was closed, or is full) is dropped: it must never stop what is
    being told, least of all between a provider's answer and its being stored.
    """

    def __init__(self, *_: Any) -> None:
        pass

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")

    debug = info = warning = error = critical = msg


_encode = json.JSONEncoder(default=str).encode


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return _encode(event)


def _only_ids(record: logging.LogRecord) -> bool:
    """A dramatiq message prints its arguments, and a job's arguments are people's data."""
    if record.args and isinstance(record.args, tuple):
        record.args = tuple(
            f"{arg.actor_name}:{arg.message_id}" if isinstance(arg, (Message, MessageProxy)) else arg
            for arg in record.args
        )
    return True


def _safe_traceback(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Where an exception came from, without its text: that may quote a job."""
    info = event.pop("exc_info", None)
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        event["error"] = info[0].__name__
        event["trace"] = [f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in traceback.extract_tb(info[2])]
    return event


def place_of(error: BaseException) -> str:
    """Where an exception was raised, as "ladder.py:120 _day: KeyError": never its text, which may quote a person."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno} {frames[-1].name}: " if frames else ""
    return f"{where}{type(error).__name__}"


#: The fields of an event that a log line shows; none of them can hold a name, an address or a number.
_FIELDS = ("step", "channel", "attempt", "provider", "provider_id", "why", "code", "to", "reason", "what", "outcome")


def log_event(case: Case, event: Event) -> None:
    """`noun.verb` and fields that name nobody."""
    fields = {name: getattr(event, name) for name in _FIELDS if hasattr(event, name)}
    if "attempt" in fields:
        fields["attempt"] = attempt_id(case, fields["attempt"])
    if isinstance(event, HoldPlaced):
        fields["reason"] = event.hold.reason
    elif isinstance(event, AnswerReceived):
        fields |= {"answer": event.answer.kind, "source": event.answer.source}
    elif isinstance(event, AddressSuppressed | AddressRestored):
        fields |= {"channels": list(event.channels), "by": event.by}
    elif isinstance(event, PaymentFailed):
        del fields["reason"]  # the bank's own words, which may name somebody
    _log.info(event_name(type(event)), case=case.id, creditor=case.creditor, **fields)


def event_name(kind: type[Event]) -> str:
    """`HoldPlaced` is logged as `hold.placed`."""
    return _in_words(kind.__name__)


@cache
def _in_words(name: str) -> str:
    noun, *verb = re.findall("[A-Z][a-z]*", name)
    return f"{noun.lower()}.{'_'.join(verb).lower()}"
