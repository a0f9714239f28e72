"""TwiML as a person on the phone meets it: heard, and answered by keys."""

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: What Twilio's own SDK lets a document hold; the tests compare it with tests/contracts/twiml_voice_schema.json.
VERBS = _names(
    "Connect Dial Echo Enqueue Gather Hangup Leave Pause Pay Play Prompt Queue Record Redirect Refer Reject Say Sms "
    "Start Stop"
)
PROMPTS = _names("Pause Play Say")
SPOKEN = _names("break emphasis lang p phoneme prosody s say-as sub w")
#: A slow reader's seconds for a word.
SECONDS_A_WORD = 0.4


class TwimlError(ValueError):
    """What Twilio cannot read, or the sandbox cannot do."""


@dataclass(frozen=True, slots=True)
class Next:
    """The document to fetch next: `url` may be relative, "" is the present one; `digits` is None but for a Gather."""

    url: str
    method: str
    digits: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What one document came to: the words heard, the seconds they took, the keys pressed, and where it led.

    No `next` is the call's end.
    """

    text: str
    seconds: float
    digits: str = ""
    next: Next | None = None


def words(twiml: str | bytes) -> str:
    """The words of every <Say>, in order, one space between. Raises `ElementTree.ParseError` for what is no XML."""
    root = ElementTree.fromstring(twiml)  # noqa: S314 - a sandbox on loopback, fed by its own tests and demo
    return " ".join(_said(say) for say in root.iter("Say"))


def walk(twiml: str | bytes, press: Callable[[], str | None]) -> Turn:
    """Go through a document. `press` is asked at each <Gather>: keys, "" for none, None to hang up.

    Raises `TwimlError` for a document that is no TwiML (Twilio's 12100), and for a verb that is beyond the sandbox.
    """
    heard: list[str] = []
    seconds = 0.0

    def turn(digits: str = "", to: Next | None = None) -> Turn:
        text = " ".join(filter(None, heard))
        return Turn(text, seconds + SECONDS_A_WORD * len(text.split()), digits, to)

    for verb in _read(twiml):
        match verb.tag:
            case "Say" | "Pause" | "Play":
                seconds += _prompt(verb, heard)
            case "Gather":
                seconds += sum(_prompt(each, heard) for each in verb)
                pressed = press()
                if pressed is None:
                    return turn()
                digits = _gathered(verb, pressed)
                if digits or verb.get("actionOnEmptyResult") == "true":
                    return turn(digits, Next(verb.get("action", ""), verb.get("method", "POST").upper(), digits))
                seconds += _number(verb.get("timeout"), 5)
            case "Redirect":
                return turn(to=Next((verb.text or "").strip(), verb.get("method", "POST").upper()))
            case "Hangup" | "Reject":
                return turn()
            case verb_beyond:
                raise TwimlError(f"the sandbox does not know how to <{verb_beyond}>")
    return turn()


def _read(twiml: str | bytes) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(twiml)  # noqa: S314 - a sandbox on loopback, fed by its own tests and demo
    except ElementTree.ParseError as error:
        raise TwimlError(f"12100: no XML: {error}") from None
    if root.tag != "Response":
        raise TwimlError(f"12100: expected <Response>, found <{root.tag}>")
    for verb in root:
        _check(verb, "Response", VERBS)
    return root


def _check(element: ElementTree.Element, parent: str, known: frozenset[str]) -> None:
    if element.tag not in known:
        raise TwimlError(f"12100: <{parent}> has no <{element.tag}>")
    inside = {"Gather": PROMPTS, "Say": SPOKEN}.get(element.tag, known if element.tag in SPOKEN else None)
    if inside is not None:
        for child in element:
            _check(child, element.tag, inside)


def _prompt(verb: ElementTree.Element, heard: list[str]) -> float:
    """Hear a <Say>, <Pause> or <Play>; the seconds of silence it adds."""
    if verb.tag == "Say":
        heard.append(_said(verb))
    return _number(verb.get("length"), 1) if verb.tag == "Pause" else 0.0


def _said(say: ElementTree.Element) -> str:
    return " ".join("".join(say.itertext()).split())


def _gathered(gather: ElementTree.Element, pressed: str) -> str:
    """What of the keys pressed a <Gather> takes: up to its finishing key, and no more than it counts."""
    if "dtmf" not in gather.get("input", "dtmf").split():
        return ""
    finish = gather.get("finishOnKey", "#")
    taken = pressed.partition(finish)[0] if finish else pressed
    limit = gather.get("numDigits", "")
    return taken[: int(limit)] if limit.isdecimal() else taken


def _number(text: str | None, otherwise: float) -> float:
    return float(text) if text is not None and text.isdecimal() else otherwise
