"""A backup in the hands of a test: taken, and read into a store that has forgotten everything."""

import json
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from tests.worker.rig import Rig
from worker.app import App
from worker.backup.export import export
from worker.backup.restore import Restored, restore
from worker.commit import Keys
from worker.dunning.model import Case
from worker.operations import resume

#: What differs between what was exported and what an import of it exports: who restored what, and when.
_OWN = {"export", "end"}


def backup(app: App, creditors: Sequence[str] | None = None) -> list[str]:
    """The lines of one."""
    lines: list[str] = []
    export(app, creditors, lines.append)
    return lines


def read_in(app: App, lines: Sequence[str], creditors: Sequence[str] | None = None) -> Restored:
    """As from a file of these lines."""
    return restore(app, BytesIO("".join(f"{line}\n" for line in lines).encode()), creditors)


def forget(app: App) -> None:
    """The store forgets all but what time it is."""
    for key in app.client.scan_iter("relance:*", count=1000):
        if key != "relance:clock":
            app.client.delete(key)


def go_back(rig: Rig, lines: Sequence[str]) -> Restored:
    """The store is lost, and an older backup read in; somebody lets go of the pause."""
    forget(rig.app)
    done = read_in(rig.app, lines)
    resume(rig.app, ["demo"], "creditor", everywhere=False)
    return done


def of_kind(lines: Sequence[str], line: str) -> list[dict[str, Any]]:
    """Those of that kind, read."""
    return [found for text in lines if (found := json.loads(text))["line"] == line]


def keys_in(lines: Sequence[str], name: str) -> list[dict[str, Any]]:
    """The lines of keys whose name begins so."""
    return [found for found in of_kind(lines, "key") if found["name"].startswith(name)]


def comparable(lines: Sequence[str], reserved: Case) -> dict[str, Any]:
    """All that must be the same once it was read in again; what an import adds, or gives back, is left out."""
    debtor = Keys(reserved.creditor).contacts(reserved.id).rpartition(":")[2]
    found: dict[str, Any] = {}
    for text in lines:
        line = json.loads(text)
        if line["line"] in _OWN or line.get("name") in ("restored", "creditors"):
            continue
        if line["line"] == "case":
            found["case|" + line["id"]] = _without_restoring(line)
            continue
        if line["line"] == "event" and line["event"]["type"] in ("CaseRestored", "AttemptReleased"):
            continue
        if line.get("name") == "paused":
            line["value"].pop("creditor", None)
        found["|".join(str(line.get(each, "")) for each in ("line", "creditor", "name", "id"))] = line
    return {name: line for name, line in found.items() if debtor not in name and line.get("value") != {}}


def _without_restoring(line: dict[str, Any]) -> dict[str, Any]:
    told = [event for event in line["history"] if event["type"] == "CaseRestored"]
    kept = [event for event in line["history"] if event["type"] != "CaseRestored"]
    snapshot = {k: v for k, v in line["snapshot"].items() if k not in ("forgotten_since", "restored_at", "attempts")}
    return {
        "id": line["id"],
        "version": line["version"] - len(told),
        "snapshot": snapshot,
        "history": kept,
    }
