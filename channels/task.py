"""What a person does: a call by a human, a letter. The worker keeps the list of tasks; there is nothing to send."""

from collections.abc import Mapping
from typing import ClassVar

from channels.base import Accepted, Found, Message, Sought
from channels.settings import ProviderSettings


class Task:
    """Accepts everything at once."""

    class Settings(ProviderSettings):
        """There is nothing to set."""

    channels: ClassVar[tuple[str, ...]] = ("task",)
    real = False
    bound = 1.0
    finds = proves = True
    reach = None

    @staticmethod
    def required(settings: Settings) -> list[str]:
        """No variables at all."""
        return []

    @classmethod
    def from_settings(cls, settings: Settings, environ: Mapping[str, str]) -> "Task":
        return cls()

    def send(self, message: Message) -> Accepted:
        """Accepted under the message's own id."""
        return Accepted(message.id)

    def find(self, sought: Sought) -> Found | None:
        """Never: what was not recorded was done nowhere else."""
        return None
