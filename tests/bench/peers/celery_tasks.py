"""The reminder worker one would write by hand in Celery: render, send, note that it was sent.

`celery --app tests.bench.peers.celery_tasks worker`. A client and a template per process, made once.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from jinja2 import Environment, FileSystemLoader

from tests.bench.peers import SENT, sends

app = Celery("reminders", broker=os.environ["PEER_BROKER_URL"])
app.conf.task_ignore_result = True
templates = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


@cache
def store() -> "redis.Redis":
    """Where it is noted what was sent."""
    return redis.Redis.from_url(os.environ["PEER_STORE_URL"])


def _render(name: str, invoice: dict[str, Any]) -> str:
    return templates.get_template(name).render(invoice=invoice)


def _sent(invoice: dict[str, Any], provider_id: str) -> None:
    store().hset(SENT, invoice["number"], provider_id)


@app.task
def send_sms(invoice: dict[str, Any]) -> None:
    """Remind by text."""
    _sent(invoice, sends.sms(invoice["phone"], _render("sms.txt", invoice)))


@app.task
def send_voice(invoice: dict[str, Any]) -> None:
    """Remind by a call."""
    _sent(invoice, sends.call(invoice["phone"], _render("voice.txt", invoice)))


@app.task
def send_email(invoice: dict[str, Any]) -> None:
    """Remind by mail."""
    text, html = _render("email.txt", invoice), _render("email.html", invoice)
    _sent(invoice, sends.email(invoice["email"], f"Votre facture {invoice['number']}", text, html))
