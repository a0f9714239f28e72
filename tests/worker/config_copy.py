"""A copy of the shipped configuration, to break."""

import shutil
from pathlib import Path

import pytest

from worker.config import ConfigError, load

SHIPPED = Path(__file__).parents[2] / "config"
B2B, B2C, DEMO, CHANNELS = "strategies/b2b.yaml", "strategies/b2c.yaml", "creditors/demo.yaml", "channels.yaml"


class Copy:
    """The shipped folder in another place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for kind in ("strategies", "creditors"):
            shutil.copytree(SHIPPED / kind, folder / kind)
        shutil.copy(SHIPPED / "channels.yaml", folder)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace the first occurrence of a text, which must be there."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} no longer says {old!r}"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def problems(self) -> list[str]:
        """Its problems, the folder's own path left out; there must be some."""
        with pytest.raises(ConfigError) as caught:
            load(self.folder)
        return [problem.removeprefix(f"{self.folder}/") for problem in caught.value.problems]
