"""What an SMS costs: GSM-7 or UCS-2, how many segments, and the nearest text that stays in GSM-7.

One letter outside of GSM 03.38 more than halves what a segment holds, and the two spaces Babel puts in French amounts
are such letters.
"""

import unicodedata

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")  # each is sent as two septets
_GSM = _BASIC | _EXTENDED

#: Characters whose replacement nobody reads as a fault: done always.
_TYPOGRAPHY = str.maketrans(
    {
        "\u00a0": " ", "\u202f": " ", "\u2007": " ", "\u2009": " ", "\u200b": "", "\u00ad": "", "\t": " ",
        "’": "'", "‘": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‹": "'", "›": "'",
        "–": "-", "—": "-", "‑": "-", "−": "-", "…": "...", "•": "-", "·": "-",
    }
)  # fmt: skip

#: Letters of French (and of English loan words) that GSM-7 lacks. GSM-7 has É and Ç, but neither ç nor È.
_LETTERS = str.maketrans(
    {
        "ç": "c", "á": "a", "â": "a", "ê": "e", "ë": "e", "î": "i", "ï": "i", "ô": "o", "û": "u", "ÿ": "y",
        "À": "A", "Â": "A", "È": "E", "Ê": "E", "Ë": "E", "Î": "I", "Ï": "I", "Ô": "O", "Ù": "U", "Û": "U", "Ÿ": "Y",
        "œ": "oe", "Œ": "OE", "°": "o",
    }
)  # fmt: skip


def gsm_text(text: str) -> str:
    """The text with typography made plain and, where that is enough to stay in GSM-7, French letters made plain too.

    A text that needs UCS-2 anyway (another script, an emoji) keeps its accents: losing them would buy nothing.
    """
    plain = unicodedata.normalize("NFC", text).translate(_TYPOGRAPHY)
    if _is_gsm(plain):
        return plain
    folded = plain.translate(_LETTERS)
    return folded if _is_gsm(folded) else plain


def sms_segments(text: str) -> tuple[str, int]:
    """The encoding the text needs, "GSM-7" or "UCS-2", and how many segments it is billed as (at least one).

    A segment alone holds 160 septets or 70 UTF-16 units; in a longer message each holds 153 or 67, and neither an
    escaped character nor a surrogate pair is cut in two.
    """
    if _is_gsm(text):
        return "GSM-7", _fill([2 if char in _EXTENDED else 1 for char in text], alone=160, joined=153)
    return "UCS-2", _fill([2 if ord(char) > 0xFFFF else 1 for char in text], alone=70, joined=67)


def _is_gsm(text: str) -> bool:
    return _GSM.issuperset(text)


def _fill(widths: list[int], *, alone: int, joined: int) -> int:
    if sum(widths) <= alone:
        return 1
    segments, used = 1, 0
    for width in widths:
        if used + width > joined:
            segments, used = segments + 1, 0
        used += width
    return segments
