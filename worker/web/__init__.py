"""The web doors: providers report here, debtors answer here, upstream may ask here."""

from worker.web.doors import create
from worker.web.server import listens_on, serve

__all__ = ["create", "listens_on", "serve"]
