"""What operators tune: the folder of YAML files, read once, checked as a whole, frozen."""

from worker.config.creditor import ContactPerson, Creditor, EmailSender, Redirect, SmsSender, VoiceSender
from worker.config.model import ChannelRules, Config, ConfigError, Provider

__all__ = [
    "ChannelRules", "Config", "ConfigError", "ContactPerson", "Creditor", "EmailSender", "Provider", "Redirect",
    "SmsSender", "VoiceSender",
]  # fmt: skip
