"""The QR code of a transfer: a bank's app reads it and fills in everything (EPC069-12, "SCT" version 002).

It says nothing that the message does not say in words. Drawn by zxing-cpp, for it is drawn once per email and takes it
less than a millisecond.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import zxingcpp
from anyascii import anyascii

from channels.base import Attachment

#: The guideline's limits, in euros and in characters. Within them no code is larger than its version 13.
_LEAST, _MOST = Decimal("0.01"), Decimal("999999999.99")
_NAME, _REMITTANCE = 70, 140


@dataclass(frozen=True, slots=True)
class PaymentCode:
    """A payment code; `src` is how the HTML refers to it, `data` what it holds, line by line."""

    content_id: str
    data: str

    @property
    def src(self) -> str:
        return f"cid:{self.content_id}"


def remittance(numbers: Sequence[str], debtor_id: str) -> str:
    """What to quote with a transfer that pays these invoices: their numbers or, beyond what banks carry, the debtor."""
    listed = ", ".join(numbers)
    return listed if len(_plain(listed)) <= _REMITTANCE else debtor_id


def payment_code(
    *, name: str, iban: str, bic: str, currency: str, amount: Decimal, quote: str, reference: str
) -> PaymentCode | None:
    """The code that pays `amount` to that account, quoting `quote`; None where the guideline has none for it.

    That is: without an IBAN, in another currency than the euro, or for an amount beyond its limits. `reference` is the
    message's own, so that no two messages use one Content-ID.
    """
    if not iban or currency != "EUR" or not _LEAST <= amount <= _MOST:
        return None
    lines = ["BCD", "002", "1", "SCT", bic, _plain(name)[:_NAME].strip(), iban, f"EUR{amount:.2f}", "", ""]
    data = "\n".join([*lines, _plain(quote)[:_REMITTANCE].strip()])
    return PaymentCode(f"pay.{reference.lower()}@relance", data)


def picture(code: PaymentCode) -> Attachment:
    """The code as a PNG, black on white with its margin, so that it is read on a dark page too."""
    drawn = zxingcpp.create_barcode(code.data, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    modules = memoryview(drawn.to_image())  # type: ignore[arg-type]  # its stub does not say that it is a buffer
    return Attachment("qr.png", "image/png", _png(modules), code.content_id)


def _plain(words: str) -> str:
    """In the letters that all banks and all QR readers agree on."""
    return anyascii(words)


def _png(modules: memoryview) -> bytes:
    """The modules (two dimensions, a byte each: 0 black, 255 white) as a PNG of one bit a pixel, eight by eight each.

    So a module's byte is its row of eight pixels as it stands.
    """
    side, flat = len(modules), modules.tobytes()
    rows = b"".join((b"\0" + flat[at : at + side]) * 8 for at in range(0, len(flat), side))
    header = struct.pack(">IIBBBBB", side * 8, side * 8, 1, 0, 0, 0, 0)
    chunks = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
