"""The provider's own clock, which need not agree with ours."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """Real time, so many seconds off. The log does not run on it: that one bears the real time."""

    offset: float = 0.0

    def now(self) -> datetime:
        """The provider's time, UTC."""
        return datetime.now(UTC) + timedelta(seconds=self.offset)

    def rfc2822(self) -> str:
        """As Twilio writes dates."""
        return format_datetime(self.now())

    def http(self) -> str:
        """As the `Date` header has it."""
        return format_datetime(self.now(), usegmt=True)

    def unix(self) -> int:
        """As SendGrid writes its time stamps."""
        return int(self.now().timestamp())
