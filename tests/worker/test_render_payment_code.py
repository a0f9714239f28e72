"""The QR code of a transfer: what it holds, when there is one, and that a camera reads it."""

import struct
import zlib
from decimal import Decimal
from itertools import product

import pytest
import segno.helpers
import zxingcpp

from channels.base import Attachment
from tests.worker.render_samples import (
    CHANNELS,
    KINDS,
    LOCALES,
    TONES,
    Creditor,
    case,
    credit_note,
    invoice,
    invoices,
    plain,
    render,
)
from worker.render import PaymentCode, Wording, picture

IBAN = "FR7630006000011234567890189"


def read(image: Attachment) -> zxingcpp.Barcode:
    """What a camera makes of the picture: the PNG is unpacked by hand, so that nothing of ours is trusted."""
    assert image.content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, colour = struct.unpack(">IIBB", image.content[16:26])
    assert (width, depth, colour) == (height, 1, 0)
    at = image.content.index(b"IDAT")
    (length,) = struct.unpack(">I", image.content[at - 4 : at])
    rows = zlib.decompress(image.content[at + 4 : at + 4 + length])
    stride = width // 8 + 1
    bits = b"".join(rows[row * stride + 1 : (row + 1) * stride] for row in range(height))
    pixels = bytes(255 if byte >> 7 - bit & 1 else 0 for byte in bits for bit in range(8))
    found = zxingcpp.read_barcodes(memoryview(pixels).cast("B", (height, width)))
    assert len(found) == 1
    return found[0]


def code(wording: Wording) -> PaymentCode:
    """The code of a message that must have one."""
    assert wording.payment_code is not None
    return wording.payment_code


def lines(wording: Wording) -> list[str]:
    """What the code holds, as read from its picture."""
    return str(read(picture(code(wording))).text).split("\n")


@pytest.mark.parametrize(("notice", "locale"), sorted(product(TONES, LOCALES)))
def test_the_code_pays_exactly_what_the_words_ask(notice: str, locale: str) -> None:
    """Account, bank, holder, amount and reference are in the picture, and in words in both parts beside it."""
    for count in (1, 2, 7):
        wording = render(notice, of=case(locale=locale), lines=[*invoices(count), credit_note()])
        amount = Decimal("1234.50") * count - 200
        numbers = ", ".join(f"F-2026-{nth:03}" for nth in range(1, count + 1))
        assert lines(wording) == [
            "BCD", "002", "1", "SCT", "DEMOFRPP", "Atelier Rivoire", IBAN, f"EUR{amount}", "", "", numbers,
        ]  # fmt: skip
        written = f"{amount:,}".replace(",", " ").replace(".", ",") + " €" if locale == "fr_FR" else f"€{amount:,}"
        for part in (plain(wording.text), plain(wording.html)):
            facts = ("DEMOFRPP", "Atelier Rivoire", "FR76 3000 6000 0112 3456 7890 189", written, numbers)
            assert [fact for fact in facts if fact not in part] == []


def test_it_is_what_another_hand_makes_of_the_guideline() -> None:
    """The lines are those of segno's helper for EPC codes; the picture is a QR code of level M, at most version 13."""
    wording = render("nudge", lines=invoices(2))
    theirs = segno.helpers.make_epc_qr(
        name="Atelier Rivoire",
        iban=IBAN,
        bic="DEMOFRPP",
        amount=Decimal(2469),
        text="F-2026-001, F-2026-002",
        encoding=1,
    )
    matrix = bytes(0 if module else 255 for row in theirs.matrix_iter(scale=4, border=4) for module in row)
    side = int(theirs.symbol_size(scale=4, border=4)[0])
    (read_theirs,) = zxingcpp.read_barcodes(memoryview(matrix).cast("B", (side, side)))
    amount_apart = [line for line in lines(wording) if not line.startswith("EUR")]
    assert amount_apart == [line for line in read_theirs.text.split("\n") if not line.startswith("EUR")]
    ours = read(picture(code(wording)))
    assert (ours.format, ours.ec_level) == (zxingcpp.BarcodeFormat.QRCode, "M")


@pytest.mark.parametrize(
    ("amount", "currency", "iban"),
    [
        (Decimal("1234.50"), "GBP", IBAN),
        (Decimal("1234.50"), "EUR", None),
        (Decimal("1000000000.00"), "EUR", IBAN),
        (Decimal(0), "EUR", IBAN),
    ],
)
def test_what_no_code_can_pay_has_none(amount: Decimal, currency: str, iban: str | None) -> None:
    """Another currency, no account, more than the guideline allows, nothing owed: no picture, no hole where it was."""
    line = invoice(amount=Decimal("2000000000.00"), stated=amount)
    wording = render("nudge", of=case(currency=currency), lines=[line], creditor=Creditor(iban=iban))
    assert wording.payment_code is None
    assert "<img" not in wording.html


@pytest.mark.parametrize("amount", ["0.01", "999999999.99"])
def test_the_limits_themselves_can_be_paid(amount: str) -> None:
    """One cent, and a cent less than a milliard."""
    line = invoice(amount=Decimal(amount), stated=Decimal(amount))
    assert f"EUR{amount}" in lines(render("nudge", lines=[line]))


def test_the_most_it_can_say_is_still_a_code_that_apps_accept() -> None:
    """The longest of everything: version 13, that is 69 modules and a margin of 4 on either side, at most."""
    creditor = Creditor(name="Œ" * 80, iban="MT84MALT011000012345MTLCAST001S", bic="MALTMTMTXXX")
    line = invoice(number="W" * 139 + "é", amount=Decimal("999999999.99"), stated=Decimal("999999999.99"))
    image = picture(code(render("nudge", lines=[line], creditor=creditor)))
    (side,) = struct.unpack(">I", image.content[16:20])
    assert side <= (69 + 2 * 4) * 8
    assert read(image).text.endswith("W" * 139 + "e")


def test_a_bank_that_is_not_named_leaves_its_line_empty() -> None:
    """Inside Europe the account says which bank it is."""
    assert lines(render("nudge", creditor=Creditor(bic=None)))[4:6] == ["", "Atelier Rivoire"]


def test_names_are_in_letters_that_every_bank_reads() -> None:
    """Accents, ligatures and typographic signs become what banks write for them; 70 characters at most."""
    creditor = Creditor(name="Société d’Édition Œuvre & Cie – " + "Très long " * 9)
    name = lines(render("nudge", creditor=creditor))[5]
    assert name.startswith("Societe d'Edition Oeuvre & Cie - Tres long")
    assert len(name) <= 70


def test_more_numbers_than_a_transfer_carries_become_the_clients() -> None:
    """Up to 140 characters of numbers are quoted; beyond, the client reference is: in words and picture alike."""
    eleven, twelve = render("nudge", lines=invoices(11)), render("nudge", lines=invoices(12))
    assert lines(eleven)[10].endswith("F-2026-011")
    assert lines(twelve)[10] == "C-1042"
    assert "Référence à indiquer : C-1042" in plain(twelve.text)


def test_only_an_email_has_a_picture() -> None:
    """Under a Content-ID of its own, so that two messages in one mailbox do not share it."""
    having = [channel for channel in CHANNELS if render("nudge", channel).payment_code]
    assert having == ["email"]
    wording = render("nudge")
    image = picture(code(wording))
    assert (image.content_type, image.content_id) == ("image/png", "pay.k7q2mx@relance")
    assert f'src="cid:{image.content_id}"' in wording.html


def test_the_picture_speaks_the_debtors_language() -> None:
    """Who does not see it reads what it is, and that its words stand beside it."""
    assert 'alt="Code QR de virement' in render("nudge").html
    assert 'alt="Bank transfer QR code' in render("nudge", of=case(locale="en_GB")).html


def test_every_kind_of_debtor_may_pay_so() -> None:
    """A consumer as well as a business."""
    assert all(render("courtesy", of=case(kind)).payment_code for kind in KINDS)
