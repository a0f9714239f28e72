"""Everything a debtor could read or hear under a strategy, on one page that opens without a network."""

from worker.preview.page import page
from worker.preview.sheets import Chapter, chapters

__all__ = ["Chapter", "chapters", "page"]
