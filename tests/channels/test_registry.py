"""How a provider comes from a line of configuration and the environment."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from channels import registry
from channels.base import Channel, ConfigurationError
from channels.settings import secret

ENVIRON = {
    "TWILIO_ACCOUNT_SID": "AC1",
    "TWILIO_AUTH_TOKEN": "t",
    "SENDGRID_API_KEY": "k",
    "SMTP_URL": "smtp://127.0.0.1:2525",
    "HOOK_URL": "https://hooks.atelier.test/relance",
}
MINIMAL: dict[str, dict[str, Any]] = {"postback": {"url_env": "HOOK_URL"}}


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_kind_keeps_the_contract(kind: str) -> None:
    """Each kind can be configured, says what it lacks, and builds a channel that knows if it is real and its bound."""
    settings = registry.settings_for(kind, MINIMAL.get(kind, {}))
    assert registry.missing(kind, settings, ENVIRON) == []
    channel = registry.build(kind, settings, ENVIRON)
    assert isinstance(channel, Channel)
    assert isinstance(channel.real, bool)
    assert channel.bound > 0
    assert set(registry.channels_of(kind)) <= {"email", "sms", "voice", "task"}


@pytest.mark.parametrize("kind", registry.KINDS)
def test_a_kind_without_its_variables_says_which_and_is_not_built(kind: str) -> None:
    """What `missing` names is what `build` refuses to do without."""
    settings = registry.settings_for(kind, MINIMAL.get(kind, {}))
    lacking = registry.missing(kind, settings, {})
    if lacking:
        with pytest.raises(ConfigurationError, match=lacking[0]):
            registry.build(kind, settings, {})
    else:
        registry.build(kind, settings, {})


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_kind_can_read_its_secrets_from_files(kind: str, tmp_path: Path) -> None:
    """A variable with _FILE after its name stands for the content of a file, as container secrets do."""
    files = {}
    for name, value in ENVIRON.items():
        (tmp_path / name).write_text(value + "\n")
        files[f"{name}_FILE"] = str(tmp_path / name)
    settings = registry.settings_for(kind, MINIMAL.get(kind, {}))
    assert registry.missing(kind, settings, files) == []
    registry.build(kind, settings, files)


def made(folder: Path, content: bytes, mode: int = 0o600) -> str:
    """The path of a file with that content."""
    path = folder / "token-7f3a"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_what_surrounds_a_secret_is_no_part_of_it(tmp_path: Path) -> None:
    """Editors end files with a line end, and people copy spaces along; nothing of it may reach a provider."""
    assert secret({"TOKEN_FILE": made(tmp_path, b" s3cret \r\n\n")}, "TOKEN") == "s3cret"
    assert secret({"TOKEN": " s3cret\n", "TOKEN_FILE": ""}, "TOKEN") == "s3cret"
    assert secret({"TOKEN": " ", "TOKEN_FILE": " "}, "TOKEN") == ""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "TOKEN_FILE: there is no such file"),
        (b"", "TOKEN_FILE: the file is empty"),
        (b" \n", "TOKEN_FILE: the file is empty"),
        (b"\xff\xfe", r"TOKEN_FILE: the file cannot be read \(UnicodeDecodeError\)"),
        (b"s3cret\ns3cret", "TOKEN_FILE: expected one line of printable text"),
        (b"s3\x00cret", "TOKEN_FILE: expected one line of printable text"),
        ("s3\u00a0cret".encode(), "TOKEN_FILE: expected one line of printable text"),
    ],
)
def test_a_secrets_file_that_cannot_be_used_is_an_error(tmp_path: Path, content: bytes | None, says: str) -> None:
    """It is said by the variable's name, with neither path nor content: the path may be a secret in the wrong place."""
    path = str(tmp_path / "token-7f3a") if content is None else made(tmp_path, content)
    with pytest.raises(ConfigurationError, match=f"^{says}$"):
        secret({"TOKEN_FILE": path}, "TOKEN")


def test_a_folder_is_no_secrets_file(tmp_path: Path) -> None:
    """An engine makes a folder of a file to mount that is not there."""
    with pytest.raises(ConfigurationError, match=r"^TOKEN_FILE: the file cannot be read \(IsADirectoryError\)$"):
        secret({"TOKEN_FILE": str(tmp_path)}, "TOKEN")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_secrets_file_of_another_user_is_an_error(tmp_path: Path) -> None:
    """Who may not read it is named, since that is what to mend."""
    with pytest.raises(ConfigurationError, match=f"^TOKEN_FILE: the file may not be read by user {os.geteuid()}$"):
        secret({"TOKEN_FILE": made(tmp_path, b"s3cret", 0)}, "TOKEN")


def test_a_secret_that_is_set_twice_is_an_error(tmp_path: Path) -> None:
    """Which of the two was meant is not guessed; nor is it when they are equal, as they will not stay so."""
    with pytest.raises(ConfigurationError, match=r"^TOKEN and TOKEN_FILE are both set; expected one of them$"):
        secret({"TOKEN": "s3cret", "TOKEN_FILE": made(tmp_path, b"s3cret")}, "TOKEN")


@pytest.mark.parametrize(
    ("kind", "mapping"),
    [
        ("twilio_sms", {"auth_token_env": "0f3cb5e1d9"}),
        ("twilio_voice", {"account_sid_env": "AC0f3cb5e1d9"}),
        ("sendgrid_email", {"api_key_env": "SG.0f3cb5e1d9"}),
        ("smtp_email", {"url_env": "smtp://0f3cb5e1d9"}),
        ("postback", {"url_env": "https://0f3cb5e1d9"}),
        ("postback", {"url": "https://x.example", "header_envs": {"Authorization": "Bearer 0f3cb5e1d9"}}),
        ("postback", {"url": "https://x.example", "signing_secret_env": "0f3cb5e1d9"}),
    ],
)
def test_a_secret_where_its_variable_belongs_is_not_quoted(kind: str, mapping: dict[str, Any]) -> None:
    """The configuration names variables; a value in their place is an error that does not show it."""
    with pytest.raises(ConfigurationError, match="expected the name of an environment variable") as caught:
        registry.settings_for(kind, mapping)
    assert "0f3cb5e1d9" not in str(caught.value)


def test_other_variables_may_be_named() -> None:
    """Each creditor may have an account of its own."""
    settings = registry.settings_for("twilio_sms", {"account_sid_env": "A_SID", "auth_token_env": "A_TOKEN"})
    assert registry.missing("twilio_sms", settings, ENVIRON) == ["A_SID", "A_TOKEN"]


@pytest.mark.parametrize(
    ("kind", "mapping", "words"),
    [
        ("twilio_smss", {}, r"'twilio_smss' is not a kind.*did you mean 'twilio_sms'\?"),
        ("pigeon", {}, "known: outbox"),
        ("outbox", {"foldr": "x"}, r"outbox: foldr: not a setting.*did you mean 'folder'\?"),
        ("twilio_voice", {"ring_timeout": 600}, "twilio_voice: ring_timeout: .*60"),
        ("twilio_sms", {"connect_timeout": "soon"}, "connect_timeout: .*number"),
        ("postback", {}, "either url or url_env"),
        ("postback", {"url": "https://a.test", "statuses": {404: "gone"}}, "statuses.404"),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(kind: str, mapping: dict[str, Any], words: str) -> None:
    """An operator reads which setting is wrong and what it should be."""
    with pytest.raises(ConfigurationError, match=words):
        registry.settings_for(kind, mapping)


@pytest.mark.parametrize("value", ["hooks.atelier.test", "ftp://hooks.atelier.test", "https://h:99999", "https://[::1"])
def test_a_malformed_url_is_not_quoted(value: str) -> None:
    """A URL may hold a password: the error names the variable alone."""
    settings = registry.settings_for("postback", {"url_env": "HOOK_URL"})
    with pytest.raises(ConfigurationError) as caught:
        registry.build("postback", settings, {"HOOK_URL": value})
    assert "HOOK_URL" in str(caught.value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_the_readme_knows_every_kind_and_its_variables(kind: str) -> None:
    """Whoever reads the table of kinds reads all of them, with what they need from the environment."""
    table = Path(registry.__file__).with_name("README.md").read_text(encoding="utf-8")
    assert f"| `{kind}` |" in table
    names = registry.missing(kind, registry.settings_for(kind, MINIMAL.get(kind, {})), {})
    assert all(f"`{name}`" in table for name in names if name != "HOOK_URL")


def test_settings_do_not_import_the_sdks() -> None:
    """A command that sends nothing does not wait for the providers' libraries."""
    program = (
        "import sys; from channels import registry\n"
        "for kind in registry.KINDS: registry.channels_of(kind)\n"
        "print([name for name in ('twilio', 'sendgrid', 'urllib3', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
