"""The sandbox as a whole: starting, ending, TLS, contracts, and as a program."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from python_http_client.exceptions import BadRequestsError, InternalServerError
from twilio.base.exceptions import TwilioRestException

from channels.sandbox import Fault, Ports, Sandbox

from .clients import EMAIL, mail, read_log, sendgrid_client, smtp_client, twilio_client
from .receiver import Receiver

CONTRACTS = Path(__file__).parents[2] / "contracts"
MESSAGES, FORM = "/2010-04-01/Accounts/AC1/Messages.json", "To=%2B33612345678&From=Creditor&Body=Bonjour"
BASIC = urllib3.make_headers(basic_auth="AC1:token")
SMS = {"to": "+33612345678", "from_": "Creditor", "body": "Bonjour"}


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_it_starts_at_once_and_leaves_nothing() -> None:
    """Ready at once; after the end no thread of its own is left, hanging clients or not."""
    before = set(threading.enumerate())
    start = time.monotonic()
    sandbox = Sandbox()
    assert time.monotonic() - start < 5
    sandbox.fault(Fault("hang"))
    with pytest.raises(requests.ReadTimeout):
        twilio_client(sandbox.twilio_url, timeout=0.05).messages.create(**SMS)
    idle = [socket.create_connection(("127.0.0.1", _port(url))) for url in sandbox.urls.values()]
    start = time.monotonic()
    sandbox.close()
    sandbox.close()
    assert time.monotonic() - start < 5
    assert set(threading.enumerate()) <= before
    for connection in idle:
        connection.close()


def test_a_connection_is_kept_alive(sandbox: Sandbox) -> None:
    """A client's requests share one connection, as with the provider."""
    with urllib3.HTTPConnectionPool("127.0.0.1", _port(sandbox.twilio_url)) as pool:
        for _ in range(3):
            assert pool.request("POST", MESSAGES, body=FORM, headers=BASIC).status == 201
        assert (pool.num_connections, pool.num_requests) == (1, 3)


def test_latency_passes_before_the_answer() -> None:
    """Every provider takes its time to answer when told to."""
    with Sandbox(latency=0.1) as sandbox:
        start = time.monotonic()
        twilio_client(sandbox.twilio_url).messages.create(**SMS)
        sendgrid_client(sandbox.sendgrid_url).send(mail())
        with smtp_client(sandbox.smtp_url) as client:
            client.sendmail("billing@creditor.test", ["ana@debtor.test"], EMAIL)
    assert time.monotonic() - start >= 0.3


def test_a_taken_port_is_an_error_that_leaves_nothing_behind(sandbox: Sandbox) -> None:
    """Ports can be chosen; where one is taken, what had begun is ended again."""
    taken = _port(sandbox.smtp_url)
    before = set(threading.enumerate())
    with pytest.raises(OSError, match="in use"):
        Sandbox(ports=Ports(smtp=taken))
    assert set(threading.enumerate()) <= before


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    built = built.add_extension(address, critical=False)
    built = built.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    signed = built.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + signed.public_bytes(pem))
    return path


def test_it_can_speak_tls(certificate: Path) -> None:
    """With a TLS context the HTTP URLs are https, SMTP offers STARTTLS, and faults still bite."""
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate)
    theirs = ssl.create_default_context(cafile=certificate)
    with Sandbox(tls=ours) as sandbox:
        with urllib3.HTTPSConnectionPool("127.0.0.1", _port(sandbox.twilio_url), ssl_context=theirs) as pool:
            assert pool.request("GET", "/sandbox/accepted").data == b"[]"
            sandbox.fault(Fault("drop", times=1))
            with pytest.raises(urllib3.exceptions.ProtocolError):
                pool.request("POST", MESSAGES, body=FORM, headers=BASIC, retries=False)
            assert pool.request("POST", MESSAGES, body=FORM, headers=BASIC).status == 201
        with smtp_client(sandbox.smtp_url) as client:
            client.starttls(context=theirs)
            client.sendmail("billing@creditor.test", ["ana@debtor.test"], EMAIL)
        assert sandbox.twilio_url.startswith("https://")
        assert [each["channel"] for each in sandbox.accepted()] == ["sms", "email"]


@pytest.fixture
def validating(log: Path) -> Iterator[Sandbox]:
    with Sandbox(log, validate=CONTRACTS) as sandbox:
        yield sandbox


def test_good_requests_honour_the_contracts(validating: Sandbox, log: Path) -> None:
    """What the official SDKs send passes the providers' own OpenAPI files, lists and calls included."""
    twilio = twilio_client(validating.twilio_url)
    message = twilio.messages.create(**SMS, status_callback="https://me.test/twilio/status/att-1")
    call = twilio.calls.create(
        to=SMS["to"], from_="+33123456789", twiml="<Response/>", status_callback_event=["initiated", "completed"]
    )
    assert [each.sid for each in twilio.messages.list(to=SMS["to"])] == [message.sid]
    assert twilio.calls(call.sid).fetch().sid == call.sid
    assert sendgrid_client(validating.sendgrid_url).send(mail()).status_code == 202
    assert read_log(log, "invalid") == []


def test_a_broken_contract_is_refused_and_logged(validating: Sandbox, log: Path) -> None:
    """A request that breaks the contract is a 400, is not accepted, and the log says what is wrong."""
    with pytest.raises(TwilioRestException) as caught:
        twilio_client(validating.twilio_url).messages.create(**{**SMS, "messaging_service_sid": "MGshort"})
    assert caught.value.status == 400
    with pytest.raises(BadRequestsError):
        sendgrid_client(validating.sendgrid_url).client.mail.send.post(request_body={**mail().get(), "custom_args": {}})
    assert [each["provider"] for each in read_log(log, "invalid")] == ["twilio", "sendgrid"]
    assert all(each["errors"] for each in read_log(log, "invalid"))
    assert "MGshort" in str(read_log(log, "invalid")[0]["errors"])
    assert validating.accepted() == []


@contextmanager
def program(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `python -m channels.sandbox` until the block ends, and read the URLs it prints."""
    command = [sys.executable, "-m", "channels.sandbox", *options]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_as_a_program_it_serves_until_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    """One JSON line says where the three servers are; a signal ends it with status 0 and nothing on stderr."""
    faults = tmp_path / "faults.yaml"
    faults.write_text("{kind: 500, channel: email}")
    with program("--faults", str(faults)) as (process, urls):
        assert set(urls) == {"twilio", "sendgrid", "smtp"}
        assert twilio_client(urls["twilio"]).messages.create(**SMS).sid
        with pytest.raises(InternalServerError):
            sendgrid_client(urls["sendgrid"]).send(mail())
        process.send_signal(number)
        assert process.wait(5) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_as_a_program_it_reacts_and_posts(tmp_path: Path, receiver: Receiver) -> None:
    """Reactions from a file, and doors under a public URL, are the program's options."""
    reactions = tmp_path / "reactions.yaml"
    reactions.write_text("- {channel: email, receipts: [dropped]}\n- {channel: sms, receipts: [failed]}\n")
    options = ["--reactions", str(reactions), "--public-url", receiver.url, "--inbound-secret", "s3cret"]
    with program(*options) as (_, urls):
        sendgrid_client(urls["sendgrid"]).send(mail())
        assert receiver.wait(1, "/webhooks/sendgrid/events")[0].events[0]["event"] == "dropped"
        twilio_client(urls["twilio"]).messages.create(**SMS, status_callback=f"{receiver.url}/status")
        assert receiver.wait(1, "/status")[0].form["MessageStatus"] == "failed"
        answer: Any = {"sender": "ana@debtor.test", "text": "Bonjour"}
        assert requests.post(f"{urls['sendgrid']}/sandbox/mail", json=answer, timeout=5).json()["status"] == 204
        receiver.wait(1, "/webhooks/sendgrid/inbound/s3cret")


def test_as_a_program_it_lists_late_and_keeps_its_own_time(tmp_path: Path) -> None:
    """Late lists from a file, the seed, the clock and the add-on are the program's options too."""
    listings = tmp_path / "listings.yaml"
    listings.write_text("{channel: sms, seconds: 60}\n")
    options = ["--listings", str(listings), "--seed", "3", "--clock-offset", "3600", "--email-activity"]
    with program(*options) as (_, urls):
        made = twilio_client(urls["twilio"]).messages.create(**SMS)
        assert twilio_client(urls["twilio"]).messages.list(to=SMS["to"]) == []
        assert made.date_created - datetime.now(UTC) > timedelta(minutes=30)
        url, key = f"{urls['sendgrid']}/v3/messages", {"Authorization": "Bearer k"}
        assert requests.get(url, headers=key, timeout=5).json() == {"messages": []}


def test_a_killed_program_loses_no_accepted_message(log: Path) -> None:
    """After kill -9 the log holds every message whose answer a client has."""
    with program("--log", str(log)) as (process, urls):
        twilio = twilio_client(urls["twilio"])
        sids = [twilio.messages.create(**SMS).sid for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
        process.wait(5)
    assert [each["id"] for each in read_log(log, "accepted")] == sids
