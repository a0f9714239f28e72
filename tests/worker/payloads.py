"""Jobs as upstream sends them, to change and to break."""

from typing import Any

import pytest

from worker.config import Config
from worker.jobs import BadJob, parse


def reminder(**changes: Any) -> dict[str, Any]:
    """A whole reminder; `debtor__phone="x"` changes a field inside, `...` leaves one out."""
    job: dict[str, Any] = {
        "type": "reminder_due",
        "version": 1,
        "job_id": "j-1",
        "creditor": "demo",
        "as_of": "2026-03-31T09:00:00+02:00",
        "debtor": {"id": "D-1", "name": "Exemple SARL", "kind": "business", "email": "ap@example.com"},
        "invoices": [
            {
                "number": "F-2026/001",
                "issued_on": "2026-03-01",
                "due_on": "2026-03-31",
                "amount": "1200.50",
                "currency": "EUR",
            }
        ],
    }
    for path, value in changes.items():
        place: Any = job
        *around, last = path.split("__")
        for part in around:
            place = place[int(part)] if part.isdigit() else place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return job


def fact(kind: str, **fields: Any) -> dict[str, Any]:
    """A fact of that type with those fields."""
    return {"type": kind, "version": 1, "job_id": "j-2", "creditor": "demo", **fields}


def refused(payload: object, config: Config) -> list[str]:
    """The problems of a job that must not pass."""
    with pytest.raises(BadJob) as caught:
        parse(payload, config)
    return caught.value.problems
