"""The sandbox's log as it grows: which requests to send it holds open at this moment."""

import json
from pathlib import Path
from typing import Any

from tests.chaos.judge import SENDS


class Tail:
    """Reads what was appended since it last looked."""

    def __init__(self, path: Path) -> None:
        self._path, self._place, self._rest = path, 0, b""
        self._open: dict[tuple[str, int], str] = {}

    def open(self, channel: str = "") -> int:
        """How many requests were opened and not ended, on that channel or any."""
        self._read()
        return sum(channel in ("", found) for found in self._open.values())

    def _read(self) -> None:
        with self._path.open("rb") as log:
            log.seek(self._place)
            found = log.read()
        self._place += len(found)
        *lines, self._rest = (self._rest + found).split(b"\n")
        for line in lines:
            self._heed(json.loads(line))

    def _heed(self, line: dict[str, Any]) -> None:
        key = (line["run"], line["request"])
        if line["event"] == "opened" and line["method"] == "POST" and line["path"].endswith(SENDS):
            self._open[key] = line["channel"]
        elif line["event"] in ("answered", "dropped"):
            self._open.pop(key, None)
