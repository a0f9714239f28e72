"""Mails that come in: what a person wrote, or what became of a message of ours."""

import codecs
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.base import Receipt, Reply
from channels.mail_in import Unreadable, read_mail
from channels.mail_report import STATUSES
from channels.mail_text import LONGEST_TEXT

from . import mails
from .mails import ATTEMPT, BOX, both, head, lines, of_html, plain, report


def reply_of(raw: bytes, recipient: str = "") -> Reply:
    """It must be one."""
    found = read_mail(raw, recipients=[recipient] if recipient else ())
    assert isinstance(found, Reply)
    return found


def written(text: str) -> list[str]:
    """The lines that are no quotes."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith(">")]


def test_an_answer_is_handed_over_whole() -> None:
    """Who, to which of our mailboxes, under which id, and all they wrote, quotes included."""
    found = reply_of(mails.GMAIL_FR)
    assert (found.id, found.channel, found.to) == ("<a1b2c3@client.test>", "email", BOX)
    assert (found.sender, found.subject) == ("claire@client.test", "Re: Facture F-2026/001")
    assert "J'ai payé cette facture hier par virement." in found.text
    assert "> Sauf erreur, la facture F-2026/001 reste à régler." in found.text
    assert not found.automatic


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (mails.GMAIL_HTML, ["I will pay on Friday.", "Claire", "P.S. below the quote"]),
        (mails.OUTLOOK_HTML, ["Bonjour,", "Le montant ne correspond pas au devis."]),
        (mails.OUTLOOK_WEB, ["Please call me back."]),
        (mails.APPLE, ["Merci, c’est réglé.", "Envoyé de mon iPhone"]),
        (mails.ROUNDCUBE, ["Below the quote."]),
        (mails.THUNDERBIRD, ["We dispute this invoice.", "See above.", "--", "Claire"]),
    ],
    ids=["gmail", "outlook", "outlook web", "apple", "roundcube", "thunderbird"],
)
def test_html_alone_is_read_and_its_quotes_are_marked(raw: bytes, words: list[str]) -> None:
    """What was written now stands without a mark, a line for each block; what each program quotes begins with >."""
    text = reply_of(raw).text
    assert written(text) == words
    assert any(line.startswith("> ") for line in text.splitlines())


def test_what_outlook_quotes_in_plain_text_stays_as_it_wrote_it() -> None:
    """Its divider is words, and whoever reads quotes knows them."""
    text = reply_of(mails.OUTLOOK_TEXT).text
    assert text.startswith("Bonjour,\nNous paierons le 15 avril.\n\nDe : Atelier Demo")
    assert "Envoyé : lundi" in text


WORDS = "Réglé hier, merci – « à bientôt » €"


@pytest.mark.parametrize(
    ("charset", "label"),
    [
        ("utf-8", "utf-8"),
        ("utf-8", "iso-8859-1"),
        ("utf-8", "us-ascii"),
        ("utf-8", "no-such-charset"),
        ("utf-8", '"'),
        ("windows-1252", "windows-1252"),
        ("windows-1252", "iso-8859-1"),
        ("windows-1252", "utf-8"),
        ("windows-1252", "unknown-8bit"),
        ("utf-8", "unicode_escape"),
    ],
)
@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
def test_a_text_is_read_whatever_its_label_says(charset: str, label: str, encoding: str) -> None:
    """Mislabelled, unlabelled, encoded: the same words."""
    assert reply_of(plain(WORDS, charset, label, encoding)).text == WORDS


def test_a_long_text_is_cut_between_characters() -> None:
    """Half of one at the end would make all of it look like another charset."""
    assert set(reply_of(plain("é " * 2_000_000)).text) == {"é", " "}
    assert reply_of(of_html("<p>" + "é " * 2_000_000)).text.startswith("é é")


def test_utf_16_travels_encoded() -> None:
    """Bytes that would be read as anything."""
    assert reply_of(plain(WORDS, "utf-16", encoding="base64")).text == WORDS


def test_iso_8859_15_and_headers_in_any_charset() -> None:
    """The euro sign where ISO has it, and an encoded subject."""
    assert reply_of(plain("500 € payés", "iso-8859-15")).text == "500 € payés"
    assert reply_of(plain("x", Subject="=?utf-8?B?A?=")).subject == "=?utf-8?B?A?="
    for word in ("=?iso-8859-1?Q?R=E9gl=E9?=", "=?utf-8?B?UsOpZ2zDqQ==?=", "Réglé"):
        assert reply_of(plain("x", Subject=word)).subject == "Réglé"


def test_a_person_writes_in_plain_text_or_in_html_and_attaches_what_they_like() -> None:
    """Plain text where there is some, HTML where it is empty; text around a picture; no attachment's text."""
    assert reply_of(both("plain", "<p>html</p>")).text == "plain"
    assert reply_of(both(" \n", "<p>html</p>")).text == "html"
    raw = (
        head(Content_Type="multipart/mixed; boundary=b").encode()
        + b"\r\n"
        + lines("""
--b
Content-Type: text/plain

above
--b
Content-Type: image/png; name=a.png

xx
--b
Content-Type: text/plain; name=terms.txt
Content-Disposition: attachment; filename=terms.txt

not theirs
--b
Content-Type: message/rfc822

Subject: passed on

not theirs either
--b
Content-Type: text/plain

below
--b--""")
    )
    assert reply_of(raw).text.split() == ["above", "below"]


@pytest.mark.parametrize(
    ("more", "recipient", "to"),
    [
        ({}, "", BOX),
        ({"To": "billing@x.test"}, "", "billing@x.test"),
        ({"To": "billing@x.test", "Cc": f"Us <{BOX}>"}, "", BOX),
        ({"To": "undisclosed-recipients:;", "Delivered_To": BOX}, "", BOX),
        ({"To": "", "X_Original_To": BOX}, "", BOX),
        ({"To": "", "Envelope_To": BOX}, "", BOX),
        ({"To": "billing@x.test"}, BOX, BOX),
        ({"To": "billing@x.test"}, f"<{BOX}>", BOX),
        ({"To": ""}, "", ""),
    ],
)
def test_the_mailbox_it_came_to(more: dict[str, str], recipient: str, to: str) -> None:
    """What the mail host says; else the first header that names a case's own mailbox; else the first of all."""
    assert reply_of(plain("x", **more), recipient).to == to


def test_a_mail_without_an_id_has_one_all_the_same() -> None:
    """The same mail, the same id; another, another."""
    first, again, other = (reply_of(plain(text, Message_ID="")).id for text in ("a", "a", "b"))
    assert first == again != other


@pytest.mark.parametrize(
    "raw",
    [
        mails.OUT_OF_OFFICE_OUTLOOK,
        mails.OUT_OF_OFFICE_GMAIL,
        plain("x", Auto_Submitted="auto-replied (vacation)"),
        plain("x", Precedence="auto_reply"),
        plain("x", X_Autorespond="Re: x"),
        plain("x", Return_Path="<>"),
        plain("x", Subject="Automatic reply: Invoice"),
        plain("x", Subject="=?utf-8?Q?R=C3=A9ponse_automatique_=3A?= x"),
        plain("x", Subject="Absence du bureau"),
        plain("x", Subject="Message d’absence"),
    ],
)
def test_what_a_machine_wrote_is_told(raw: bytes) -> None:
    """By its headers, or by how its subject begins."""
    assert reply_of(raw).automatic


@pytest.mark.parametrize(
    "raw",
    [
        plain("x", X_Auto_Response_Suppress="DR, OOF, AutoReply"),
        plain("x", Auto_Submitted="no"),
        plain("x", Auto_Submitted="No; owner"),
        plain("x", Return_Path="<claire@client.test>"),
        plain("x", Subject="Re: Automatic reply: Invoice"),
        plain("x", Subject="Out of officers"),
        plain("x", Precedence="first-class"),
        plain("x", X_Autoreply="no"),
    ],
)
def test_what_a_person_wrote_is_never_taken_for_a_machines(raw: bytes) -> None:
    """Outlook sets X-Auto-Response-Suppress for people too."""
    assert not reply_of(raw).automatic


SENT = datetime(2026, 4, 7, 7, 12, 44, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "what", "code", "at"),
    [
        (mails.POSTFIX, "hard", "5.1.1", SENT),
        (mails.EXCHANGE, "hard", "5.1.10", SENT),
        (mails.GMAIL_REPORT, "soft", "5.2.2", datetime(2026, 4, 6, 8, 2, 14, tzinfo=UTC)),
        (mails.EXIM, "hard", "5.1.1", SENT),
        (mails.EXIM_OF_OLD, "hard", "5.2.1", SENT),
        (mails.SENDMAIL, "hard", "5.1.2", datetime(2026, 4, 6, 8, 2, 12, tzinfo=UTC)),
        (mails.DELAYED, "deferred", "4.4.1", SENT),
        (mails.COMPLAINT, "complained", "abuse", datetime(2026, 4, 6, 8, 2, 20, tzinfo=UTC)),
    ],
    ids=["postfix", "exchange", "gmail", "exim", "old exim", "sendmail", "delayed", "complaint"],
)
def test_what_became_of_a_message(raw: bytes, what: str, code: str, at: datetime) -> None:
    """Our attempt, our word, the status and nothing else; when it was."""
    assert read_mail(raw) == Receipt(ATTEMPT, what, "smtp", code, "", at)  # type: ignore[arg-type]  # the words of a table


def of_status(status: str, action: str = "failed", words: str = "") -> Receipt | Reply | None:
    """What a report with that status says."""
    fields = f"Final-Recipient: rfc822; a@b.test\nAction: {action}\nStatus: {status}\nDiagnostic-Code: smtp; {words}"
    return read_mail(report(f"Reporting-MTA: dns; x\n\n{fields}"))


@pytest.mark.parametrize(
    ("status", "what"),
    [
        *[(status, what) for status, what in STATUSES.items() if "x" not in status],
        *[(status, "soft") for status in ("5.0.0", "5.2.0", "5.2.2", "5.2.3", "5.3.4", "5.4.1", "5.4.4", "5.5.0")],
        *[(status, "soft") for status in ("5.6.0", "5.7.1", "5.7.133", "4.4.1", "4.1.1", "4.2.1", "5.1.4")],
        *[(status, "account") for status in ("5.7.501", "5.7.606", "5.7.708")],
    ],
)
def test_every_status_has_one_meaning(status: str, what: str) -> None:
    """Only what blames the mailbox is hard; what blames us is for a person; all else may pass."""
    found = of_status(status)
    assert isinstance(found, Receipt)
    assert (found.what, found.code) == (what, status)


def test_a_status_is_found_where_the_server_put_it() -> None:
    """A general one gives way to the server's own; a wrong one is said to be none; numbers of hosts are none."""
    cases = {
        ("5.0.0", "550-5.1.1 no such user"): ("hard", "5.1.1"),
        ("5.0.0", "550 refused"): ("soft", "5.0.0"),
        ("", "550 refused by 10.5.1.1"): ("soft", "failed"),
        ("permanent", ""): ("soft", "failed"),
        ("5.1.1 (user unknown)", ""): ("hard", "5.1.1"),
    }
    for (status, words), expected in cases.items():
        found = of_status(status, words=words)
        assert isinstance(found, Receipt)
        assert (found.what, found.code) == expected


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded (2 members)"])
def test_good_news_is_news(action: str) -> None:
    """It was asked for, and it arrived."""
    found = of_status("2.0.0", action)
    assert isinstance(found, Receipt)
    assert (found.what, found.code) == ("delivered", "2.0.0")


def test_what_says_nothing_of_a_message_of_ours_is_nothing() -> None:
    """Somebody else's bounce, a mail that was opened, a complaint that is none: never a person's answer."""
    assert read_mail(plain("x", From="MAILER-DAEMON@mx.client.test")) is None
    theirs = "Content-Type: text/rfc822-headers\n\nSubject: x"
    status = "Reporting-MTA: dns; x\n\nAction: failed\nStatus: 5.1.1"
    assert read_mail(report(status, theirs)) is None
    opened = "Final-Recipient: rfc822; a@b.test\nDisposition: manual-action/MDN-sent-manually; displayed"
    assert read_mail(report(opened, kind="disposition-notification")) is None
    assert of_status("5.1.1", "levitated") is None
    assert read_mail(report("Feedback-Type: not-spam\nVersion: 1", kind="feedback-report")) is None


def test_a_person_may_pass_a_report_on() -> None:
    """A bounce inside of a person's mail is theirs to tell of."""
    inner = mails.POSTFIX.decode().replace("\r\n", "\n")
    raw = (
        head(Content_Type="multipart/mixed; boundary=b").encode()
        + b"\r\n"
        + lines(f"--b\nContent-Type: text/plain\n\nWhat is this?\n--b\nContent-Type: message/rfc822\n\n{inner}\n--b--")
    )
    assert reply_of(raw).text == "What is this?"


# ---- what strangers send


def nested(depth: int) -> bytes:
    """Parts in parts in parts."""
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(depth))


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n", b"Bonjour", b"\x00" * 100, b"a: b\r\n\r\nc", b"\xff\xfe"])
def test_what_is_no_mail_is_said(raw: bytes) -> None:
    """In words of ours, which quote nothing."""
    with pytest.raises(Unreadable, match=r"^no mail: it has none of the headers that a mail has$"):
        read_mail(raw)


def test_a_huge_mail_is_read_to_the_text_that_is_kept() -> None:
    """A picture of five megabytes before the text; a text of five megabytes."""
    picture = b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"A" * 76
    raw = head(Content_Type="multipart/mixed; boundary=b").encode() + b"\r\n" + picture + b"\r\n" + b"A" * 5_000_000
    assert reply_of(raw + b"\r\n--b\r\n\r\nRegards\r\n--b--").text == "Regards"
    assert len(reply_of(plain("ab " * 2_000_000)).text) <= LONGEST_TEXT


@pytest.mark.parametrize(
    "raw",
    [
        head().encode()
        + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)),
        head().encode() + b"Content-Type: message/rfc822\r\n\r\n" * 5000,
        head().encode() + b"Content-Type: text/plain" + b';"' * 500_000 + b"\r\n\r\nx",
        head().encode() + b"Content-Type: text/plain;\r\n" + b' a="b;\r\n' * 100_000 + b"\r\nx",
        head(Subject="=?utf-8?q?" + "a" * 500_000).encode() + b"\r\nx",
        head(To="a@b.test, " * 200_000).encode() + b"\r\nx",
        head(To="(" * 500_000).encode() + b"\r\nx",
        head().encode() + b"X: y\r\n" * 200_000 + b"\r\nx",
        of_html("<div>" * 100_000 + "x"),
        of_html("<!--" * 100_000),
        of_html("<a " * 100_000),
        of_html("</a " * 100_000),
        of_html('<a x="' * 100_000),
        of_html("<![" * 100_000),
        of_html("<?" * 100_000),
        of_html("&#" * 200_000),
        of_html("</div>" * 100_000),
        of_html('<blockquote style="' + "border: none;" * 50_000 + '">x'),
    ],
    ids=lambda raw: "",
)
def test_nobody_can_make_it_think_for_long(raw: bytes) -> None:
    """Parts in parts, headers without an end, brackets: read in passing."""
    assert isinstance(read_mail(raw), Reply)


def test_one_flat_text_is_what_a_twisted_mail_is_read_as() -> None:
    """Nothing a person wrote is lost to its shape."""
    assert "Réglé" in reply_of(head().encode() + nested(300) + "\r\nRéglé hier".encode()).text


def test_a_bounce_may_be_twisted_too() -> None:
    """It is no person's answer."""
    raw = head(From="MAILER-DAEMON@mx.client.test").encode() + nested(300)
    assert read_mail(raw) is None
    assert read_mail(raw + b"\r\n550 5.1.1 no\r\nX-Relance-Attempt: demo-a.1\r\n") == Receipt(
        "demo-a.1", "hard", "smtp", "5.1.1", at=SENT
    )


SAMPLES = [value for value in vars(mails).values() if isinstance(value, bytes)]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """One of the mails, with pieces cut out, doubled, or replaced."""
    raw = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = min(len(raw), start + draw(st.integers(0, 60)))
        raw = raw[:start] + draw(st.binary(max_size=20) | st.just(raw[start:end] * 2)) + raw[end:]
    return raw


@settings(max_examples=300)
@given(raw=st.binary(max_size=300) | st.binary(max_size=100).map(lambda b: head().encode() + b) | mutated())
def test_whatever_comes_is_a_value_or_unreadable(raw: bytes) -> None:
    """No other error, and nothing that a store could not keep."""
    try:
        found = read_mail(raw)
    except Unreadable:
        return
    if isinstance(found, Reply):
        for text in (found.id, found.to, found.sender, found.text, found.subject):
            codecs.encode(text, "utf-8")
            assert "\x00" not in text
    elif found:
        assert "@" not in found.code
