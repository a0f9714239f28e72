"""What operators tune: the folder of YAML files, read once, checked as a whole, frozen."""

from worker.config.creditor import (
    ContactPerson,
    Creditor,
    EmailSender,
    Redirect,
    SmsSender,
    StillDue,
    VoiceSender,
    Webhook,
)
from worker.config.environment import Environment, environment
from worker.config.grammar import Ramp
from worker.config.guards import PaymentsFeed
from worker.config.model import OUTBOX, ChannelRules, Config, ConfigError, Provider
from worker.config.reading import load

__all__ = [
    "OUTBOX", "ChannelRules", "Config", "ConfigError", "ContactPerson", "Creditor", "EmailSender", "Environment",
    "PaymentsFeed", "Provider", "Ramp", "Redirect", "SmsSender", "StillDue", "VoiceSender", "Webhook", "environment",
    "load",
]  # fmt: skip
