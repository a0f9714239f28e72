"""The door holds whatever is thrown at it."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.config import load
from worker.jobs import SCHEMAS, BadJob, Job, parse

CONFIG = load(Path(__file__).parents[2] / "config")
FIELDS = sorted({
    name
    for schema in SCHEMAS.values()
    for part in (schema.model_json_schema(), *schema.model_json_schema().get("$defs", {}).values())
    for name in part["properties"]
})  # fmt: skip

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
KEYS = st.sampled_from(FIELDS) | st.text(max_size=10)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=15
)
TYPED = st.builds(
    lambda kind, rest: {**rest, "type": kind, "version": 1, "creditor": "demo"},
    st.sampled_from(sorted(SCHEMAS)),
    st.dictionaries(KEYS, JSON, max_size=8),
)
#: No text of ours contains one of these.
MARKED = st.integers(min_value=0).map(lambda number: f"Zoé-Łucja {number} <z{number}@example.com>")


def attempt(payload: object) -> list[str]:
    """The problems of the payload, none if it is a job."""
    try:
        job = parse(payload, CONFIG)
    except BadJob as bad:
        return bad.problems or ["refused without a reason"]
    assert isinstance(job, Job)
    return []


def replaced(value: Any, mark: str) -> Any:
    """The same shape with every text and number replaced by the mark."""
    if isinstance(value, dict):
        return {key: replaced(inner, mark) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, mark) for inner in value]
    return mark


@settings(max_examples=300)
@given(JSON | TYPED)
def test_any_value_is_a_job_or_a_bad_job(payload: object) -> None:
    """No value gets anything else out of the door than a job or its problems, each on one line."""
    assert all("\n" not in line and line != "refused without a reason" for line in attempt(payload))


@settings(max_examples=200)
@given(TYPED, MARKED)
def test_problems_never_repeat_a_value(payload: dict[str, Any], mark: str) -> None:
    """Whatever upstream put in whichever field, the problems do not say it: it may be somebody's name."""
    shown = attempt({**replaced(payload, mark), "type": payload["type"], "version": 1})
    assert shown
    assert "Zoé" not in json.dumps(shown, ensure_ascii=False)
    assert "example.com" not in "".join(shown)


@settings(max_examples=100)
@given(MARKED)
def test_problems_never_repeat_a_key_that_looks_like_data(mark: str) -> None:
    """A name that slipped into the place of a field's name is not shown either."""
    payload = {"type": "case_closed", "version": 1, "job_id": "j", "creditor": "demo", "case": "c", "reason": "paid"}
    assert attempt(payload) == []
    assert attempt({**payload, mark: 1}) == ["has an unknown field"]


def test_a_key_that_is_no_text_is_not_shown() -> None:
    """A number in the place of a field's name, which only a caller from Python can send, is not repeated either."""
    payload: dict[object, object] = {"type": "case_closed", "version": 1, "job_id": "j", "creditor": "demo"}
    (line,) = attempt({**payload, "case": "c", "reason": "paid", 33639981234: 1})
    assert "33639981234" not in line
