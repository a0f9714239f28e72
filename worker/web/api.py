"""The billing system's doors, described: an OpenAPI document made of the jobs' own schemas, and a page of it."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from worker.jobs import SCHEMAS
from worker.web.case import CaseView
from worker.web.refusal import MEDIA_TYPE

CASE = "/v1/cases/{case}"

#: The page brings its own style and nothing else.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

_REF = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Door:
    """Where a type of job is POSTed. `in_path` are the fields that the path stands for: no body has them."""

    path: str
    kind: str
    title: str
    in_path: tuple[str, ...] = ()

    @property
    def schema(self) -> str:
        """The name of its body's schema."""
        return SCHEMAS[self.kind].__name__


DOORS = (
    Door("/v1/reminders", "reminder_due", "Follow these invoices"),
    Door("/v1/payments", "payment_received", "Money came in"),
    Door("/v1/payments/failed", "payment_failed", "Money went back"),
    Door("/v1/payments/checked", "payments_checked", "Every payment up to now has been told"),
    Door(f"{CASE}/hold", "case_held", "Do not chase, for now", ("case",)),
    Door(f"{CASE}/release", "case_released", "Chase again", ("case",)),
    Door(f"{CASE}/close", "case_closed", "Never chase again", ("case", "invoice")),
)


class TakenView(BaseModel):
    """The job is in the store. A repeat of the same request gets the same cases."""

    job_id: str = Field(description="The Idempotency-Key.")
    cases: list[str] = Field(description="The cases that it changed.")
    notes: list[str] = Field(description="What of it changed nothing, and why.")
    repeated: bool = Field(description="It had been taken before; nothing happened now.")


class ProblemView(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    problems: list[str] = Field([], description="Each place and what was expected there, as `debtor.phone: ...`.")


_ANSWERS = {
    "400": "The body is not JSON, or the Idempotency-Key is missing or malformed.",
    "401": "No API key, or none that is known.",
    "404": "The creditor has no such case; or no creditor has an API key.",
    "408": "The request did not come whole in time.",
    "413": "Larger than 1 MB.",
    "415": "Not application/json.",
    "422": "The job cannot be taken; or the Idempotency-Key was used before, with another request.",
    "429": "More requests than the creditor's rate; Retry-After says when there is room.",
    "500": "A fault of relance.",
    "503": "The store does not answer; nothing happened. Ask again with the same Idempotency-Key.",
}


def methods(path: str) -> list[str]:
    """How the door at that path may be asked; empty where there is none."""
    paths: dict[str, Any] = document()["paths"]
    found = [known for known in paths if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", known), path)]
    return [method.upper() for known in found for method in paths[known]]


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    models = [(SCHEMAS[door.kind], "validation") for door in DOORS]
    shown = [(model, "serialization") for model in (TakenView, ProblemView, CaseView)]
    _, found = models_json_schema([*models, *shown], ref_template=f"{_REF}{{model}}")  # type: ignore[list-item]  # the mode is a literal
    schemas = found["$defs"]
    for door in DOORS:
        _leave_out(schemas[door.schema], ("type", "version", "creditor", "job_id", *door.in_path))
    paths: dict[str, Any] = {door.path: {"post": _posting(door, schemas[door.schema])} for door in DOORS}
    paths[CASE] = {"get": _getting()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "relance, the billing system's doors", "version": "1", "description": _INTRODUCTION},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "The creditor's API key."}},
        },
        "security": [{"key": []}],
    }


_INTRODUCTION = (
    "The jobs that a billing system may also put into the queue. Each is committed before it is answered: once a"
    " payment was answered with 200, no message about it begins. Where a body is more than its schema can say, the"
    " answer is 422 and names each place."
)


def _leave_out(schema: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        schema["properties"].pop(name, None)
    schema["required"] = [name for name in schema.get("required", []) if name not in names]
    if not schema["required"]:
        del schema["required"]


def _posting(door: Door, schema: dict[str, Any]) -> dict[str, Any]:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "Unique per request and remembered 90 days: the same request again is not done twice.",
        "schema": {"type": "string", "pattern": r'^"?[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}"?$'},
    }
    return {
        "operationId": door.kind,
        "summary": door.title,
        "description": schema.pop("description", ""),
        "parameters": [*([_case()] if door.in_path else []), key],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": _REF + door.schema}}}},
        "responses": _responses("TakenView", "It is in the store.", []),
    }


def _getting() -> dict[str, Any]:
    return {
        "operationId": "case",
        "summary": "Look at a case",
        "description": "How it stands, what comes next and why not yet.",
        "parameters": [_case()],
        "responses": _responses("CaseView", "The case.", ["400", "408", "413", "415", "422"]),
    }


def _case() -> dict[str, Any]:
    return {"name": "case", "in": "path", "required": True, "description": "Its id.", "schema": {"type": "string"}}


def _responses(model: str, words: str, never: list[str]) -> dict[str, Any]:
    done = {"description": words, "content": {"application/json": {"schema": {"$ref": _REF + model}}}}
    problem = {"content": {MEDIA_TYPE: {"schema": {"$ref": _REF + "ProblemView"}}}}
    refusals = {status: {"description": said, **problem} for status, said in _ANSWERS.items() if status not in never}
    return {"200": done, **refusals}


# ---- the page


@cache
def page() -> str:
    """The document as HTML: no script, nothing from elsewhere."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["kind"] = _kind
    template = environment.from_string((Path(__file__).parent / "api.html").read_text(encoding="utf-8"))
    return template.render(api=document(), name=_name)


def _name(schema: dict[str, Any]) -> str:
    """The name of the schema that is referred to; empty where none is."""
    return str(schema.get("$ref", "")).removeprefix(_REF)


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in a few words."""
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(map(str, schema.get("enum", [schema.get("const")])))
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    return _name(schema) or schema.get("format") or schema.get("type", "")
