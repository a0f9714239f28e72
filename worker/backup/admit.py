"""May this backup be read into this store? Two histories are never merged, and a rehearsal stays one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from worker.app import App
from worker.backup.check import Unfit
from worker.backup.families import CREDITORS, family_of
from worker.backup.lines import Header
from worker.backup.staging import HARMLESS
from worker.clock import CLOCK_KEY, open_clock
from worker.commit import Keys
from worker.operations import known_creditors

#: Which backup is being read in.
_IMPORT = "relance:import"


def admit(app: App, header: Header, creditors: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """The creditors to be read in, and those that an earlier run of this very import has read in. From here on it runs.

    Raises Unfit, with nothing written; ConfigurationError where a rehearsal would reach people.
    """
    names = _wanted(app, header, creditors)
    clock = _clock_to_take(app, header)
    left = _left(app, header, names)
    if clock:
        app.client.hset(CLOCK_KEY, mapping=dict[Any, Any](clock))
        app.clock = app.clock if app.clock.rehearsal else open_clock(app.client)[0]
    app.client.hset(_IMPORT, mapping={"id": header.id, "at": header.at.isoformat()})
    return left, [name for name in names if name not in left]


def _wanted(app: App, header: Header, creditors: Sequence[str] | None) -> list[str]:
    names = list(dict.fromkeys(header.creditors if creditors is None else creditors))
    for name in names:
        if name not in header.creditors:
            raise Unfit(f"the file has no creditor {name!r}; it has: {', '.join(header.creditors)}")
        if name not in app.config.creditors:
            raise Unfit(
                f"{name!r} is not configured here, so nobody would look at its cases: put its file back, or name the "
                f"others with --creditor; configured: {', '.join(app.config.creditors)}"
            )
    return names


def _clock_to_take(app: App, header: Header) -> Mapping[str, str]:
    """Ladder time must be the same there and here. An empty store takes a rehearsal's clock from the file."""
    here, there = cast("dict[str, str]", app.client.hgetall(CLOCK_KEY)), header.clock
    if here and not there:
        raise Unfit("the store holds a rehearsal's clock, and the file is of real time: use another store")
    if here and any(here.get(name) != there.get(name) for name in ("at", "since", "speed")):
        raise Unfit("the store holds another rehearsal's clock than the file: use another store")
    if here or not there:
        return {}
    if any(app.client.zcard(Keys(name).cases) for name in known_creditors(app)):
        raise Unfit("the file is of a rehearsal, and the store has real cases: use another store")
    app.refuse_real_for_rehearsal()
    return there


def _left(app: App, header: Header, names: Sequence[str]) -> list[str]:
    """Those of them that are to be read in still; the others were by an earlier run of this very import."""
    running = cast("dict[str, str]", app.client.hgetall(_IMPORT))
    if running and running["id"] != header.id:
        raise Unfit(
            f"another file, written at {running['at']}, was being read in when that was interrupted: "
            "read that one in again, or empty the store"
        )
    done = [name for name in names if running and _origin(app, name) == header.id]
    left = [name for name in names if name not in done]
    known = _known(app, left)
    if known:
        told = "; ".join(f"{name}: {', '.join(sorted(kinds))}" for name, kinds in sorted(known.items()))
        raise Unfit(
            f"the store knows these creditors already ({told}), and two histories are not merged: use an empty one"
        )
    return left


def _origin(app: App, creditor: str) -> str | None:
    return cast("str | None", app.client.hget(Keys(creditor).restored, "export"))


def _known(app: App, creditors: Sequence[str]) -> dict[str, set[str]]:
    """What kinds of keys the store has of each of them."""
    found: dict[str, set[str]] = {}
    for key in cast("Iterator[str]", app.client.scan_iter("relance:{*", count=1000)):
        creditor, _, name = key.removeprefix("relance:{").partition("}:")
        family = family_of(name, CREDITORS)
        if creditor in creditors and (family is None or family.name not in HARMLESS):
            found.setdefault(creditor, set()).add((family.name if family else name).rstrip(":"))
    for creditor in creditors:
        if app.client.xlen(Keys(creditor).events):
            found.setdefault(creditor, set()).add("events")
    return found


def end(app: App) -> None:
    """All of it was read in."""
    app.client.delete(_IMPORT)
