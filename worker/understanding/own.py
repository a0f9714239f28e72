"""What somebody wrote themselves: without what they quote, what their telephone adds, and their signature.

What is quoted holds our own words ("if you have already paid", dates), which must never be taken for theirs.
"""

import re

#: More than this is not even looked at: what people write stands above what they quote.
LOOKED_AT = 40_000

_NAMED = r"(?:\*|_)?"
_FROM = rf"^[ \t]*{_NAMED}(?:de|from|von|expediteur|expéditeur)[ \t\u00a0]?:{_NAMED}"
_NEXT = rf"^[ \t]*{_NAMED}(?:envoyé|envoye|date|sent|à|a|to|objet|subject|cc)(?:[ \t\u00a0]+(?:le|on))?[ \t\u00a0]*:"
_HEADERS = re.compile(rf"{_FROM}[^\n]*\n(?:[^\n]*\n){{0,2}}?{_NEXT}", re.I | re.M)
_RULES = re.compile(
    r"^[ \t]*(?:"
    r"-{2,}[ \t]*(?:message d['’]origine|message original|message initial|original message|message transféré"
    r"|forwarded message|message transmis|courriel original|mail original)[ \t]*-{2,}"
    r"|début du message (?:réexpédié|transféré)[ \t\u00a0]?:|begin forwarded message:|_{10,}[ \t]*$)",
    re.I | re.M,
)
# "Le lun. 4 mai 2026 à 10:12, X a écrit :" and "On Mon, 4 May 2026, X wrote:", which mail programs fold.
_ATTRIBUTION = re.compile(
    r"^[ \t]*(?:le|on)\b(?=[^\n]*\d)[^\n]{4,250}(?:\n[^\n]{0,250}){0,2}?(?:a\s{1,3}[ée]crit|wrote)[ \t\u00a0]*:[ \t]*$",
    re.I | re.M,
)
_DEVICE = re.compile(
    r"^[ \t]*(?:envoyé (?:de|depuis|à partir)|envoye de mon|sent from|get outlook for|obtenez outlook"
    r"|télécharger outlook|provenance[ \u00a0]?: courrier|envoyé à partir de)[^\n]{0,80}$",
    re.I | re.M,
)
_CLOSING = (
    r"(?:bien |très |tres )?(?:cordialement|cdlt|cdt|cordiales salutations|sincères salutations"
    r"|salutations(?: distinguées| distinguees)?|bien à vous|bien a vous|respectueusement|sentiments distingués"
    r"|(?:kind|best|warm|with kind) regards|regards|best wishes|yours (?:sincerely|faithfully|truly)|sincerely"
    r"|many thanks|best)"
)
_TAIL = re.compile(
    rf"(?:^[ \t]*|(?<=[.!,;\n])[ \t]*){_CLOSING}[ \t]*(?:[,.!;:]|\n|$)|^[ \t]*{_CLOSING}[ \t]+(?=[A-Z])", re.I | re.M
)
# After a signature, what begins so is said by somebody after all.
_SPOKEN = re.compile(
    r"^[ \t]*(?:je|j['’]|on|mais|ps|p\.s|nb|n\.b|stop|ne|i|i['’]\w+|but|however|please|merci de)\b", re.I | re.M
)


def own(text: str) -> str:
    """Their own words. Empty where there are none; never empty only because of a guess about where a quote begins."""
    text = text[:LOOKED_AT].replace("\r\n", "\n").replace("\r", "\n").replace("\u200b", "").replace("\ufeff", "")
    written = _without_quotes(text)
    return _without_signature(written).strip()


def _without_quotes(text: str) -> str:
    begins = min(
        (found.start() for pattern in (_HEADERS, _RULES) if (found := pattern.search(text))), default=len(text)
    )
    above = text[:begins]
    attributed = _ATTRIBUTION.search(above)
    while attributed:
        rest = above[attributed.end() :]
        marked = not rest.strip() or rest.lstrip().startswith(">")
        above = above[: attributed.start()] + (rest if marked else "")
        attributed = _ATTRIBUTION.search(above) if marked else None
        begins = begins if marked else 0
    kept = _without_marked(above)
    # Words below a quote that nothing marks are not told from it: better all of it, for a person, than nothing.
    return kept if kept.strip() or begins == len(text) else _without_marked(text)


def _without_marked(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not line.lstrip().startswith(">"))


def _without_signature(text: str) -> str:
    text = _DEVICE.sub("", text)
    text = re.split(r"^-- ?$", text, maxsplit=1, flags=re.M)[0]
    for tail in _TAIL.finditer(text):
        signed = text[tail.end() :]
        if len(signed) < 1500 and "?" not in signed and not _SPOKEN.search(signed) and text[: tail.start()].strip():
            return text[: tail.start()]
    return text
