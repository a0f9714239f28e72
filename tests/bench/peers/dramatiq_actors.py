"""Bare dramatiq, and dramatiq with the stock SDK's call and nothing else.

`dramatiq tests.bench.peers.dramatiq_actors`.
"""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from tests.bench.peers import sends

dramatiq.set_broker(RedisBroker(url=os.environ["PEER_BROKER_URL"]))

TEXT = "Atelier Démo : petit rappel. Facture F-2026-001 de 1 200,50 € échue, à régler sous 3 jours. Merci."
HTML = "<p>" + "</p><p>".join([TEXT] * 12) + "</p>"


@dramatiq.actor(queue_name="bare")
def nothing(number: int) -> None:
    """A job that is none."""


@dramatiq.actor(queue_name="sdk_only")
def send_sms(to: str) -> None:
    """One text."""
    sends.sms(to, TEXT)


@dramatiq.actor(queue_name="sdk_only")
def send_voice(to: str) -> None:
    """One call."""
    sends.call(to, TEXT)


@dramatiq.actor(queue_name="sdk_only")
def send_email(to: str) -> None:
    """One mail."""
    sends.email(to, "Votre facture F-2026-001", TEXT, HTML)
