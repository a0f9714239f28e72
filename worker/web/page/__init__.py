"""The debtor's own page, and the door that takes a mailbox off the list with one click."""

from worker.web.page.doors import router

__all__ = ["router"]
