"""The lines of a backup: JSON, one object a line, each of a kind that its field `line` names.

The first is `export`, the last `end`, which counts them all: a file that was cut is known. Times are ISO 8601 in UTC;
`look_at` is ladder time, all others are real time.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter, ValidationError

from worker.backup.families import CREDITORS, STORE, Kind, family_of

#: The form of what is written here. One that older versions could not read has a higher number.
FORMAT = 1

_Id = Annotated[str, Field(pattern=r"^\d+-\d+$")]


class BadLine(ValueError):
    """A line that is none; the text says where and what was expected, and quotes nothing of it."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Header(_Line):
    """What is in the file. `whole`: of all creditors, and what the store keeps beside them. `clock`: a rehearsal's."""

    line: Literal["export"]
    format: PositiveInt
    id: Annotated[str, Field(min_length=8)]
    at: AwareDatetime
    relance: str
    config: str
    creditors: list[str]
    whole: bool
    clock: dict[str, str] = {}


class CaseLine(_Line):
    """A case as it was at `read_at`. Of two lines with one `id` the later stands. A broken `snapshot` is null."""

    line: Literal["case"]
    creditor: str
    id: str
    read_at: AwareDatetime
    version: PositiveInt
    look_at: AwareDatetime | None = None
    in_flight: AwareDatetime | None = None
    snapshot: dict[str, Any] | None
    history: Annotated[list[dict[str, Any]], Field(min_length=1)]


class KeyLine(_Line):
    """A key of the store by the end of its name; without a creditor, of the store as a whole.

    Lines of one hash or set add to each other, of any other two the later stands. Scores are milliseconds.
    """

    line: Literal["key"]
    creditor: str = ""
    name: str
    type: Kind
    value: Any
    expires_at: AwareDatetime | None = None


class EventLine(_Line):
    """An entry of the creditor's event stream."""

    line: Literal["event"]
    creditor: str
    id: _Id
    case: str
    version: Annotated[int, Field(ge=0)]
    event: dict[str, Any]


class WebhookLine(_Line):
    """Up to which entry the creditor's webhook has all events. It comes before the first of them."""

    line: Literal["webhook"]
    creditor: str
    after: _Id


class End(_Line):
    """The last line; how many there are, itself included."""

    line: Literal["end"]
    lines: PositiveInt


Line = Header | CaseLine | KeyLine | EventLine | WebhookLine | End

_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="line")])
_VALUES: Mapping[Kind, TypeAdapter[Any]] = {
    "string": TypeAdapter(str),
    "hash": TypeAdapter(dict[str, str]),
    "set": TypeAdapter(list[str]),
    "zset": TypeAdapter(dict[str, Annotated[float, Field(allow_inf_nan=False)]]),
    "list": TypeAdapter(list[str]),
}


def parse(text: bytes) -> Line:
    """The line in that text. Raises BadLine."""
    try:
        line = _LINE.validate_json(text)
        if isinstance(line, KeyLine):
            _check_key(line)
    except ValidationError as error:
        raise BadLine(_first(error)) from None
    return line


def _check_key(line: KeyLine) -> None:
    family = family_of(line.name, CREDITORS if line.creditor else STORE)
    if family is None or family.how in ("left_out", "rebuilt", "stream"):
        raise BadLine("name: a kind of key that this version does not read from a backup; a newer one wrote it")
    if family.kind != line.type or line.type not in _VALUES:
        raise BadLine(f"type: expected {family.kind!r}")
    _VALUES[line.type].validate_python(line.value, strict=True)


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, without what stands there."""
    found = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(map(str, found["loc"]))
    if found["type"] == "json_invalid":
        return "expected a JSON object"
    return f"{place}: {found['msg']}" if place else str(found["msg"])


# ---- writing them


def write(line: str, **fields: object) -> str:
    """A line of that kind; fields without a value are left out."""
    said = {name: _plain(value) for name, value in fields.items() if value is not None}
    return json.dumps({"line": line, **said}, ensure_ascii=False, separators=(",", ":"))


def write_case(snapshot: str | None, history: list[str], **fields: object) -> str:
    """The line of a case, whose snapshot and events are JSON already."""
    begun = write("case", **fields)
    return f'{begun[:-1]},"snapshot":{snapshot or "null"},"history":[{",".join(history)}]}}'


def write_event(event: str, **fields: object) -> str:
    """The line of an entry of the stream, whose event is JSON already."""
    return f'{write("event", **fields)[:-1]},"event":{event}}}'


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
