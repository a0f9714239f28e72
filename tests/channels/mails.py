"""Mails as people's programs and mail servers write them; the people are nobody, and the domains cannot exist."""

import base64
import quopri

#: The mailbox of a case, as one of ours would be.
BOX = "r+demo-7f3kq2.abcdefghijklm@answers.test"
ATTEMPT = "demo-7f3kq2.3"
OUR_SUBJECT = "Facture F-2026/001"


def lines(text: str) -> bytes:
    """Lines that end as on the wire."""
    return text.strip("\n").replace("\n", "\r\n").encode()


def head(**more: str) -> str:
    """The headers of a person's answer; `more` are added, or replace one (_ is -)."""
    named = {
        "From": "Claire Dupré <claire@client.test>",
        "To": BOX,
        "Subject": f"Re: {OUR_SUBJECT}",
        "Date": "Tue, 7 Apr 2026 09:12:44 +0200",
        "Message-ID": "<a1b2c3@client.test>",
        "MIME-Version": "1.0",
    } | {name.replace("_", "-"): value for name, value in more.items()}
    return "".join(f"{name}: {value}\r\n" for name, value in named.items() if value)


def plain(text: str, charset: str = "utf-8", label: str = "", encoding: str = "8bit", **more: str) -> bytes:
    """A mail of one plain part, in a charset that its label may not tell."""
    data = text.replace("\n", "\r\n").encode(charset)
    if encoding == "base64":
        data = base64.encodebytes(data)
    elif encoding == "quoted-printable":
        data = quopri.encodestring(data)
    labels = f"Content-Type: text/plain; charset={label or charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head(**more).encode() + labels.encode() + data


def of_html(document: str, **more: str) -> bytes:
    """A mail with nothing but HTML."""
    return head(**more).encode() + b"Content-Type: text/html; charset=utf-8\r\n\r\n" + document.encode()


def both(text: str, document: str, **more: str) -> bytes:
    """A mail in plain text and in HTML."""
    kind = 'Content-Type: multipart/alternative; boundary="000000000000b1"\r\n\r\n'
    parts = [f'Content-Type: text/{sub}; charset="UTF-8"\r\n\r\n{body}' for sub, body in _pairs(text, document)]
    whole = "".join(f"--000000000000b1\r\n{part}\r\n" for part in parts) + "--000000000000b1--\r\n"
    return head(**more).encode() + kind.encode() + whole.encode()


def _pairs(text: str, document: str) -> list[tuple[str, str]]:
    return [("plain", text.replace("\n", "\r\n")), ("html", document)]


GMAIL_FR = both(
    """Bonjour,

J'ai payé cette facture hier par virement.

Claire

Le lun. 6 avr. 2026 à 10:02, Atelier Demo <facturation@atelier-demo.test> a
écrit :

> Bonjour,
> Sauf erreur, la facture F-2026/001 reste à régler.
""",
    '<div dir="ltr">J&#39;ai payé</div><div class="gmail_quote"><div class="gmail_attr">Le lun.</div></div>',
)
GMAIL_HTML = of_html(
    '<div dir="ltr">I will pay on <b>Friday</b>.<div><br></div><div>Claire</div></div><br>'
    '<div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">On Mon, Apr 6, 2026 at 10:02 AM '
    'Atelier Demo wrote:<br></div><blockquote class="gmail_quote"><div>Unless we are mistaken</div>'
    "<div>invoice F-2026/001</div></blockquote><div>P.S. below the quote</div></div>"
)
OUTLOOK_HTML = of_html(
    """<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style>p.MsoNormal {margin:0cm}</style></head>
<body lang="FR"><div class="WordSection1"><p class="MsoNormal">Bonjour,<o:p></o:p></p>
<p class="MsoNormal">Le montant ne correspond pas
au devis.<o:p>&nbsp;</o:p></p>
<div><div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm">
<p class="MsoNormal"><b>De&nbsp;:</b> Atelier Demo <br><b>Envoyé&nbsp;:</b> lundi 6 avril 2026 10:02</p></div></div>
<p class="MsoNormal">Sauf erreur, la facture reste à régler.</p></div></body></html>"""
)
OUTLOOK_WEB = of_html(
    '<html><body><div class="elementToProof">Please call me back.</div><div id="appendonsend"></div>'
    '<hr style="display:inline-block;width:98%"><div id="divRplyFwdMsg"><b>From:</b> Atelier Demo</div>'
    "<div>Unless we are mistaken</div></body></html>"
)
OUTLOOK_TEXT = plain(
    """Bonjour,
Nous paierons le 15 avril.

De : Atelier Demo <facturation@atelier-demo.test>
Envoyé : lundi 6 avril 2026 10:02
À : Claire Dupré
Objet : Facture F-2026/001

Sauf erreur, la facture reste à régler.
""",
    "iso-8859-1",
    encoding="quoted-printable",
)
APPLE = of_html(
    '<html><head></head><body dir="auto">Merci, c’est réglé.<br><div dir="ltr">Envoyé de mon iPhone</div>'
    '<div dir="ltr"><br><blockquote type="cite">Le 6 avr. 2026, Atelier Demo a écrit :<br><br></blockquote></div>'
    '<blockquote type="cite"><div>Sauf erreur</div></blockquote></body></html>'
)
ROUNDCUBE = of_html(
    '<html><body><p id="reply-intro"></p><blockquote type="cite"><div class="pre">Sauf erreur</div></blockquote>'
    "<p>Below the quote.</p></body></html>"
)
THUNDERBIRD = of_html(
    '<html><body><p>We dispute this invoice.</p><div class="moz-cite-prefix">On 4/6/26 10:02, Atelier Demo wrote:<br>'
    '</div><blockquote type="cite" cite="mid:x@y.test"><p>Unless we are mistaken</p></blockquote>'
    '<p>See above.</p><div class="moz-signature">-- <br>Claire</div></body></html>'
)


def report(status: str, returned: str = "", *, kind: str = "delivery-status", lead: str = "", **more: str) -> bytes:
    """A multipart/report: a text, the machine's part, and what came back."""
    came_back = returned or f"Content-Type: text/rfc822-headers\n\nSubject: x\nX-Relance-Attempt: {ATTEMPT}\n"
    named = {
        "From": "Mail Delivery System <MAILER-DAEMON@mx.client.test>",
        "To": "facturation@atelier-demo.test",
        "Subject": "Undelivered Mail Returned to Sender",
        "Auto_Submitted": "auto-replied",
        "Content_Type": f'multipart/report; report-type={kind}; boundary="9B095B5ADSN"',
    }
    body = f"""
--9B095B5ADSN
Content-Type: text/plain; charset=us-ascii

{lead or "I'm sorry to have to inform you."}

--9B095B5ADSN
Content-Type: message/{kind}

{status}

--9B095B5ADSN
{came_back}
--9B095B5ADSN--
"""
    return head(**(named | more)).encode() + b"\r\n" + lines(body)


def returned(headers: str = "") -> str:
    """The whole message that came back."""
    return f"""Content-Type: message/rfc822

From: Atelier Demo <facturation@atelier-demo.test>
To: claire@client.test
{headers}X-Relance-Attempt: {ATTEMPT}
Content-Type: text/plain

Sauf erreur, la facture reste à régler.
"""


POSTFIX = report(
    """Reporting-MTA: dns; mail.atelier-demo.test
X-Postfix-Queue-ID: 9B095B5ADSN
X-Postfix-Sender: rfc822; facturation@atelier-demo.test
Arrival-Date: Mon,  6 Apr 2026 10:02:11 +0200 (CEST)

Final-Recipient: rfc822; claire@client.test
Original-Recipient: rfc822;claire@client.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.client.test
Diagnostic-Code: smtp; 550 5.1.1 <claire@client.test>: Recipient address
    rejected: User unknown in virtual mailbox table""",
    returned(),
)
EXCHANGE = report(
    """Reporting-MTA: dns;PR0P264MB0001.FRAP264.PROD.OUTLOOK.COM
Received-From-MTA: dns;mail.atelier-demo.test
Arrival-Date: Mon, 6 Apr 2026 08:02:12 +0000

Final-Recipient: rfc822;claire@client.test
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient claire@client.test not found""",
    returned("MIME-Version: 1.0\n"),
    Subject="Non remis : Facture F-2026/001",
)
GMAIL_REPORT = report(
    """Reporting-MTA: dns; googlemail.com
Received-From-MTA: dns; facturation@atelier-demo.test
Arrival-Date: Mon, 06 Apr 2026 01:02:13 -0700 (PDT)

Final-Recipient: rfc822; claire@gmail.test
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; The recipient's inbox is out of storage space.
Last-Attempt-Date: Mon, 06 Apr 2026 01:02:14 -0700 (PDT)""",
    returned(),
    X_Failed_Recipients="claire@gmail.test",
)
EXIM = report(
    """Reporting-MTA: dns; exim.atelier-demo.test

Action: failed
Final-Recipient: rfc822;claire@client.test
Status: 5.0.0
Remote-MTA: dns; mx.client.test
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist""",
    f"Content-Type: message/rfc822\n\nReturn-path: <facturation@atelier-demo.test>\nX-Relance-Attempt: {ATTEMPT}\n",
    X_Failed_Recipients="claire@client.test",
)
EXIM_OF_OLD = (
    head(
        From="Mail Delivery System <Mailer-Daemon@exim.atelier-demo.test>",
        To="facturation@atelier-demo.test",
        Subject="Mail delivery failed: returning message to sender",
        X_Failed_Recipients="claire@client.test",
        Auto_Submitted="auto-replied",
    ).encode()
    + b"\r\n"
    + lines(f"""
A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  claire@client.test
    SMTP error from remote mail server after RCPT TO:<claire@client.test>:
    host mx.client.test [192.0.2.7]: 550 5.2.1 mailbox disabled

------ This is a copy of the message, including all the headers. ------

From: Atelier Demo <facturation@atelier-demo.test>
X-Relance-Attempt: {ATTEMPT}

Sauf erreur, la facture reste à régler.
""")
)
SENDMAIL = report(
    """Reporting-MTA: dns; sendmail.atelier-demo.test
Arrival-Date: Mon, 6 Apr 2026 10:02:11 +0200

Final-Recipient: RFC822; claire@client.test
Action: failed
Status: 5.1.2
Remote-MTA: DNS; client.test
Last-Attempt-Date: Mon, 6 Apr 2026 10:02:12 +0200"""
)
DELAYED = report(
    """Reporting-MTA: dns; mail.atelier-demo.test

Final-Recipient: rfc822; claire@client.test
Action: delayed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to mx.client.test: Connection timed out
Will-Retry-Until: Sat, 11 Apr 2026 10:02:11 +0200"""
)
COMPLAINT = report(
    """Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <facturation@atelier-demo.test>
Arrival-Date: Mon, 6 Apr 2026 10:02:20 +0200
Source-IP: 192.0.2.1""",
    returned(),
    kind="feedback-report",
    Auto_Submitted="",
    From="feedback@mailbox-provider.test",
)
OUT_OF_OFFICE_OUTLOOK = plain(
    "Je suis absente jusqu'au 20 avril.",
    Subject="Réponse automatique : Facture F-2026/001",
    Auto_Submitted="auto-generated",
    X_Auto_Response_Suppress="All",
)
OUT_OF_OFFICE_GMAIL = plain(
    "I am away.", Subject=f"Out of office Re: {OUR_SUBJECT}", Precedence="bulk", X_Autoreply="yes"
)
