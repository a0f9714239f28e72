"""Every variable that is written down somewhere is one the program reads, and the other way round."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

#: Every variable that relance reads, and whether it is a secret. Each has a `_FILE` twin but the operator's name.
READ = {
    "FORWARDED_ALLOW_IPS": False,
    "REDIS_URL": True,  # it may hold a password
    "BROKER_URL": True,
    "RELANCE_CONFIG": False,
    "RELANCE_OPERATOR": False,
    "RELANCE_SECRET_KEY": True,
    "RELANCE_SECRET_KEY_PREVIOUS": True,
    "SENDGRID_API_KEY": True,
    "SENDGRID_BASE_URL": False,
    "SENDGRID_INBOUND_SECRET": True,
    "SENDGRID_WEBHOOK_PUBLIC_KEY": False,
    "SMTP_URL": True,
    "STORE_FAILOVER_PAUSE": False,
    "STORE_REPLICAS": False,
    "TWILIO_ACCOUNT_SID": True,
    "TWILIO_AUTH_TOKEN": True,
    "TWILIO_AUTH_TOKEN_PREVIOUS": True,
    "TWILIO_BASE_URL": False,
    "PUBLIC_URL": False,
    "WEB_HOST": False,
    "WEB_PORT": False,
}
#: Set while a secret is being changed: named after it, and in no file of ours.
ROTATING = {name for name in READ if name.endswith("_PREVIOUS")}
#: Put together from the variable that a provider's entry names.
BUILT = {"TWILIO_AUTH_TOKEN_PREVIOUS"}
#: Set by a supervisor for its children, and by nobody else.
INTERNAL = {"RELANCE_PARENT"}
#: A mail server's for its pipe, and an option of the library that reads forms.
OTHERS = {"ORIGINAL_RECIPIENT", "MAX_MEMORY_FILE_SIZE"}
#: The system's, Python's and pip's own.
FOREIGN = re.compile(r"PATH|PYTHON[A-Z]+|PIP_[A-Z_]+")

_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")


def constants(path: Path) -> Iterator[str]:
    """The texts in a file's code that look like a variable's name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _NAME.fullmatch(node.value):
            yield node.value


def written(name: str) -> set[str]:
    """The variables that a file of ours sets, twins by the name they stand for."""
    text = (ROOT / name).read_text()
    if name.endswith(".yml"):
        services = yaml.safe_load(text)["services"].values()
        found = {key for service in services for key in service.get("environment", {})}
    elif name == ".env.example":
        found = set(re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE))
    elif name == "Dockerfile":
        found = set(re.findall(r"(?:^ENV | )([A-Z_]+)=", text, re.MULTILINE))
    else:
        found = set(re.findall(r"^Environment=([A-Z_]+)=", text, re.MULTILINE))
    return {key.removesuffix("_FILE") for key in found if not FOREIGN.fullmatch(key)}


FILES = [
    "Dockerfile",
    "docker-compose.yml",
    "config/docker-compose.secrets.yml",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "config/systemd").rglob("*.conf"))),
]


def test_the_list_is_what_the_code_reads() -> None:
    """A variable that is added or dropped changes this list, and so what documents it."""
    sources = [path for part in ("worker", "channels") for path in (ROOT / part).rglob("*.py")]
    found = {name for path in sources if "sandbox" not in path.parts for name in constants(path)}
    assert found - INTERNAL - OTHERS == set(READ) - BUILT


def test_the_example_shows_all_of_them() -> None:
    """Whoever fills in `.env.example` has seen every variable there is."""
    assert written(".env.example") == set(READ)


@pytest.mark.parametrize("name", FILES)
def test_what_is_set_is_read(name: str) -> None:
    """A misspelt variable would be ignored in silence."""
    assert written(name) <= set(READ)


def test_compose_asks_for_no_secret() -> None:
    """What it takes from `.env` is what `.env.example` says it takes, and nothing of it is a secret."""
    asked = re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text())
    assert [name for name in asked if READ[name]] == []
    told = (ROOT / ".env.example").read_text().partition("docker-compose.yml takes from its .env")[2].partition("\n")[0]
    assert set(re.findall(r"[A-Z_]{5,}", told)) == set(asked)


@pytest.mark.parametrize(
    "names",
    [
        ["config/docker-compose.secrets.yml"],
        [f"config/systemd/relance-{unit}.service.d/secrets.conf" for unit in ("worker", "web")],
    ],
    ids=["compose", "systemd"],
)
def test_every_secret_has_its_place(names: list[str]) -> None:
    """It is shown where each goes; the servers' URLs hold one only with a password."""
    found = {key for name in names for key in written(name)}
    assert found == {key for key, secret in READ.items() if secret} - {"REDIS_URL", "BROKER_URL"} - ROTATING


@pytest.mark.parametrize("name", FILES)
def test_a_secret_is_set_by_its_file_alone(name: str) -> None:
    """What is in an image, in a unit or in `docker inspect` can be read by too many."""
    secrets = [key for key, secret in READ.items() if secret]
    found = re.findall(
        rf"^\W*(?:Environment=|ENV |ARG )?({'|'.join(secrets)})[=:] *(.*)", (ROOT / name).read_text(), re.M
    )
    assert [key for key, value in found if not re.fullmatch(r"redis://(store|queue):6379/0|\{file: .*\}", value)] == []
