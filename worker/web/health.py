"""Are we there?"""

from fastapi import APIRouter

from worker.app import App


def router(_: App) -> APIRouter:
    """What supervisors ask."""
    doors = APIRouter()

    @doors.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    return doors
