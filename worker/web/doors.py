"""All the doors together: each file beside this one adds its own."""

from fastapi import FastAPI

from worker.app import App
from worker.web import health, metrics, page, sendgrid, twilio, upstream, voice

#: One line for each file of doors.
_DOORS = (health, metrics, page, sendgrid, twilio, upstream, voice)


def create(app: App) -> FastAPI:
    """The doors, on these parts."""
    doors = FastAPI(title="relance", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for each in _DOORS:
        doors.include_router(each.router(app))
    return doors
