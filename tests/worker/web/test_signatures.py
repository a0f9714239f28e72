"""Who signed it: every vector that the providers, and whoever tried their SDKs, have published."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from tests.channels.samples import contract
from worker.web.signatures import AHEAD, MOST_FIELDS, OLDEST, form_of, signed_by_sendgrid, signed_by_twilio

VECTORS: dict[str, Any] = contract("webhook_signatures.json")
TWILIO = [*VECTORS["twilio"]["vectors"], *VECTORS["twilio"]["derived"]]
SENDGRID = VECTORS["sendgrid"]["vectors"]
SETTINGS = "X-Twilio-Webhooks-Signature-Settings"
URL = "https://relance.example/webhooks/twilio/sms"
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


def named(vectors: list[dict[str, Any]]) -> pytest.MarkDecorator:
    """Each vector under its name."""
    return pytest.mark.parametrize("row", vectors, ids=[row["name"] for row in vectors])


def twilio(row: dict[str, Any], url: str = "") -> bool:
    """A vector's verdict, over the bytes of its body."""
    form = row["params"] is not None
    body = urlencode([tuple(pair) for pair in row["params"]]).encode() if form else row["body"].encode()
    content = form_of(body) if form else body
    settings = row.get("headers", {}).get(SETTINGS, "")
    return signed_by_twilio([row["token"]], url or row["url"], content, row["signature"], settings)


@named(TWILIO)
def test_every_published_vector_of_twilio(row: dict[str, Any]) -> None:
    """The wished result, also where the SDK says otherwise or raises."""
    assert twilio(row) is row["valid"]


@named([row for row in TWILIO if row["valid"]])
def test_a_fragment_is_not_signed(row: dict[str, Any]) -> None:
    """What follows the number sign tells Twilio how often to try; it is not part of what it signs."""
    assert twilio(row, f"{row['url']}#rc=3&rp=all")


@named([row for row in TWILIO if row["valid"]])
def test_another_host_scheme_path_or_secret_is_not_the_same(row: dict[str, Any]) -> None:
    """A signature is good for the URL it was made for, and for nobody else's token."""
    scheme, rest = row["url"].split("://")
    for url in (f"ftp://{rest}", f"{scheme}://other.{rest}", row["url"] + "x", "", "nonsense"):
        assert not twilio(row, url or " ")
    assert not twilio({**row, "token": "other"})


def test_a_document_is_bound_to_the_url_that_is_signed() -> None:
    """By its hash in the query; a signed URL without one vouches for no document."""
    row = next(row for row in TWILIO if row["name"] == "json_body")
    assert not twilio({**row, "body": row["body"] + " "})
    assert not signed_by_twilio(["t"], URL, b"{}", RequestValidator("t").compute_signature(URL, {}))


@pytest.mark.parametrize("port", ["", ":443", ":8443"])
def test_a_port_is_signed_or_not(port: str) -> None:
    """Whichever of the two spellings Twilio signed, with a port of PUBLIC_URL or without."""
    url = URL.replace(".example", f".example{port}")
    form = {"Body": "Réglé", "From": "+33639980101"}
    for signed in {URL, url}:
        signature = RequestValidator("t").compute_signature(signed, form)
        assert signed_by_twilio(["t"], url, list(form.items()), signature)


def test_any_of_several_secrets_will_do_and_none_is_not_one() -> None:
    """While a token is rotated two are good; an empty one lets nobody in, though anybody can sign with it."""
    signature = RequestValidator("old").compute_signature(URL, {})
    assert signed_by_twilio(["new", "old"], URL, [], signature)
    assert not signed_by_twilio(["new"], URL, [], signature)
    assert not signed_by_twilio([], URL, [], signature)
    assert not signed_by_twilio([""], URL, [], RequestValidator("").compute_signature(URL, {}))


@pytest.mark.parametrize(
    "settings", ["algorithm=HMAC_MD5", "key=a,algorithm=none", "algorithm=HMAC_SHA256", "algorithm=HMAC_SHA1,x"]
)
def test_an_algorithm_is_one_of_two(settings: str) -> None:
    """Another one is a no, whatever is signed; the header says which of the two it is."""
    signature = RequestValidator("t").compute_signature(URL, {})
    assert signed_by_twilio(["t"], URL, [], signature, settings) is ("SHA1" in settings)


def test_a_form_of_too_many_fields_is_not_read() -> None:
    """A stranger's megabyte of ampersands costs nothing."""
    assert len(form_of(b"&".join([b"a="] * MOST_FIELDS))) == MOST_FIELDS
    assert form_of(b"&".join([b"a="] * (MOST_FIELDS + 1))) == []


@named(SENDGRID)
def test_every_published_vector_of_sendgrid(row: dict[str, Any]) -> None:
    """The wished result, also where the SDK raises."""
    stamp = row["timestamp"]
    now = datetime.fromtimestamp(int(stamp), UTC) if stamp.isdecimal() else NOW
    assert signed_by_sendgrid(row["public_key"], row["body"].encode(), row["signature"], stamp, now) is row["valid"]


@pytest.mark.parametrize(
    ("age", "good"),
    [
        (timedelta(0), True),
        (OLDEST, True),
        (OLDEST + timedelta(seconds=1), False),
        (-AHEAD, True),
        (-AHEAD - timedelta(seconds=1), False),
        (timedelta(days=4000), False),
    ],
)
def test_an_old_signature_is_none(age: timedelta, good: bool) -> None:
    """What was signed more than 25 hours ago is a replay; a clock may be a little ahead."""
    row = SENDGRID[0]
    now = datetime.fromtimestamp(int(row["timestamp"]), UTC) + age
    found = signed_by_sendgrid(row["public_key"], row["body"].encode(), row["signature"], row["timestamp"], now)
    assert found is good


def _in_base64(key: Any) -> str:
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def test_a_key_of_another_kind_lets_nobody_in() -> None:
    """Another curve, RSA, no key at all: a no, not an error."""
    private = ec.generate_private_key(ec.SECP384R1())
    stamp = str(int(NOW.timestamp()))
    signature = base64.b64encode(private.sign(f"{stamp}[]".encode(), ec.ECDSA(SHA256()))).decode()
    wrong = rsa.generate_private_key(65537, 2048).public_key()
    for key in (_in_base64(private.public_key()), _in_base64(wrong), "", "!", "AAAA"):
        assert not signed_by_sendgrid(key, b"[]", signature, stamp, NOW)


ODD = st.text("h:/?#[]é'=,\ud800\0", max_size=30) | st.sampled_from(
    ["", "http://[", "https://h:x/?bodySHA256=é", "algorithm="]
)


@given(url=ODD, body=st.binary(max_size=60), signature=ODD, settings=ODD, secret=ODD)
def test_nothing_a_stranger_sends_is_an_error(
    url: str, body: bytes, signature: str, settings: str, secret: str
) -> None:
    """Any texts and bytes at all: a no."""
    assert not signed_by_twilio([secret], url, body, signature, settings)
    assert not signed_by_twilio([secret], url, form_of(body), signature, settings)
    assert not signed_by_twilio([secret], URL, [(url, settings)], signature, settings)
    assert not signed_by_sendgrid(SENDGRID[0]["public_key"], body, signature, settings, NOW)
    assert not signed_by_sendgrid(secret, body, signature, str(int(NOW.timestamp())), NOW)
