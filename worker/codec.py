"""Cases and events to JSON and back, by pydantic; what is at its default is left out, which halves a case."""

import json
from typing import Any

from pydantic import TypeAdapter, ValidationError

from worker.dunning import events
from worker.dunning.events import Event
from worker.dunning.model import Case

_KINDS: dict[str, type[Event]] = {
    kind.__name__: kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)
}


_KNOWN: tuple[type[Any], ...] = (Case, *_KINDS.values())
_ADAPTERS: dict[type, TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in _KNOWN}


def encode_case(case: Case) -> str:
    """The snapshot as JSON."""
    return _ADAPTERS[Case].dump_json(case, exclude_defaults=True).decode()


class UnreadableCase(Exception):
    """A snapshot that is none; the text says where, and quotes nothing of it."""


def decode_case(data: str | bytes) -> Case:
    """The case in a snapshot. Raises UnreadableCase for what is not one."""
    try:
        case: Case = _ADAPTERS[Case].validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise UnreadableCase(f"{'.'.join(map(str, first['loc']))}: {first['type']}") from None
    return case


def encode_event(event: Event) -> str:
    """The event as JSON, its kind under `type`."""
    fields = _ADAPTERS[type(event)].dump_json(event, exclude_defaults=True).decode()
    return f'{{"type":"{type(event).__name__}",{fields[1:]}'  # every event has at least its time


def decode_event(data: str | bytes) -> Event:
    """The event in that JSON. Raises KeyError for an unknown kind, ValidationError for fields it does not have."""
    return read_event(json.loads(data))


def read_event(fields: dict[str, Any]) -> Event:
    """The event of these fields, its kind under `type`. Raises as `decode_event`."""
    kind = _KINDS[fields["type"]]
    event: Event = _ADAPTERS[kind].validate_python({name: value for name, value in fields.items() if name != "type"})
    return event
