"""What is stored of a case, small: deflated against words that cases and events mostly consist of.

A case with two invoices and ten events takes a good third of what its JSON would, for some six microseconds a value.
The first byte tells the form, so that a value written by any version of ours can be read by all later ones: `DEFLATED`
marks this one, `{` is plain JSON. The dictionary is part of the form: never change it, add another form.
"""

import zlib

DEFLATED = b"\x01"

#: A window this small suits values of a kilobyte, and costs a sixth of what zlib's own would to set up.
_WINDOW, _MEMORY = -12, 5

#: Most often met last: what is near costs less to point at.
_DICTIONARY = (
    b'"type":"HandedOver","to":"lawyer"},"ended":{"reason":"paid","at":"2026-"}"type":"CaseEnded","reason":"cancelled"'
    b'"type":"JobCredited""type":"LookFailed","place":"failures":1"type":"TasksWithdrawn","tasks":["'
    b'"type":"TaskDone","task":"","by":""type":"TaskOpened","kind":"handover","title":"","text":"'
    b'"type":"DebtorChanged","debtor":{"type":"InvoicesStated","invoices":[{"type":"PaymentReceived","parts":[{"invoice":"'
    b'","movement":{"amount":"","as_of":"","reference":"}}],"movements":[{"received_on":"2026-","means":"transfer"'
    b'"type":"HoldReleased","reason":"manual","by":"rule"type":"HoldLapsed","reason":"promise","invoice":"'
    b'"type":"HoldPlaced","hold":{"reason":"approval_pending","since":"2026-","until":"2026-","note":"formal_notice"}'
    b'"holds":[{"reason":"dispute"}],"approved":[["formal_notice",""]],"approved_for":""type":"ApprovalGiven",'
    b'"type":"StepSkipped","why":"less than EUR is owed""type":"AttemptReleased","why":"configuration changed"'
    b'"type":"AttemptUncertain","code":"ReadTimeout""type":"AttemptUnavailable","why":"throttle","retry_at":"2026-'
    b'"type":"AttemptRejected","why":"address","code":"21614","unusable":[["sms","'
    b'{"type":"CaseOpened","at":"2026-01-01T00:00:00.000000Z","case":"","creditor":"demo"}{"id":"demo-","creditor":"demo",'
    b'"debtor":{"id":"D-","name":" SARL","kind":"consumer","kind":"business","locale":"en_GB","locale":"fr_FR",'
    b'"timezone":"Europe/Paris","country":"FR","subdivision":"57","email":"compta@example.com","phone":"+33639980000"},'
    b'"currency":"EUR","strategy":"b2c","strategy":"b2b","opened_at":"2026-","debtor_as_of":"2026-","group":"F-",'
    b'"invoices":[{"number":"F-2026/00","issued_on":"2026-0","due_on":"2026-1","amount":"1200.00","stated":"1200.00",'
    b'"as_of":"2026-01-01T00:00:00Z","kind":"credit_note","subject":"","payment_url":"https://pay.example.com/",'
    b'"document_url":"https://"}],"as_of":"2026-"}],"runs":[{"step":"courtesy","anchor":"F-2026/00","at":"2026-'
    b'","covers":["F-2026/00"],"deadline":"2026-","channels":["email"],"sends":[{"channel":"email","status":"reserved",'
    b'"attempt":1,"tries":1,"provider":"sendgrid","provider_id":"","config":"","to":"","lease":"2026-","code":""}]},'
    b'{"step":"first_reminder","channels":["sms"],"sends":[{"channel":"sms","status":"accepted","attempt":2,'
    b'"tries":1,"provider":"twilio_sms","provider_id":"SM","config":"}]}],"attempts":3,"tasks":["demo-'
    b'{"step":"second_reminder","channels":["email","sms","task"],"sends":[{"channel":"voice","status":"accepted",'
    b'"provider":"twilio_voice","provider_id":"CA"channel":"task","provider":"task","human_call"last_word"second_call"'
    b'{"type":"AttemptReserved","at":"2026-01-01T00:00:00.000000Z","attempt":1,"step":"sms_reminder","anchor":"F-2026/00",'
    b'"channel":"sms","channels":["sms"],"covers":["F-2026/00"],"deadline":"2026-","lease":"2026-","config":"'
    b'{"type":"AttemptBegun","at":"2026-01-01T00:00:00.000000Z","attempt":1,"provider":"twilio_sms","lease":"2026-01-01T00:'
    b'","wording":"","words":"Rappel : facture F-2026/00 - sauf erreur, la facture","reference":"","segments":2}'
    b'{"type":"AttemptAccepted","at":"2026-01-01T00:00:00.000000Z","attempt":1,"provider_id":"SM'
)


def pack(text: str) -> bytes:
    """The text as it is stored."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, _WINDOW, _MEMORY, zdict=_DICTIONARY)
    return DEFLATED + deflate.compress(text.encode()) + deflate.flush()


def unpack(data: bytes) -> str:
    """The text in a stored value. Raises ValueError for what no version of ours has written."""
    if data[:1] != DEFLATED:
        return data.decode()
    inflate = zlib.decompressobj(_WINDOW, zdict=_DICTIONARY)
    try:
        text = inflate.decompress(data[1:])
    except zlib.error:
        raise ValueError("not what pack writes") from None
    if not inflate.eof:
        raise ValueError("cut short")
    return text.decode()
