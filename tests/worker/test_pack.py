"""What is stored can be read for ever, and is small."""

from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import MakeApp
from worker.codec import UnreadableCase
from worker.commit import Keys
from worker.pack import pack, unpack

from .rig import MORNING, Rig

#: An event as the first version that packed has stored it.
STORED = b64decode("ASPKZENDXSMjkMmmZlYmJnpGRhbGBpaETDYwNDI2MTUzt7BMTEpOSU1D58Oaj1H5h1cr1QIA")
EVENT = (
    '{"type":"AttemptAccepted","at":"2026-11-22T00:56:44.228309Z","attempt":1,'
    '"provider_id":"SM0123456789abcdef0123456789abcdef","by":"Zoë"}'
)


@given(st.text())
def test_what_was_packed_comes_back(text: str) -> None:
    """Any text survives, whatever its letters."""
    assert unpack(pack(text)) == text


def test_what_was_stored_once_is_read_for_ever() -> None:
    """The dictionary is part of the stored form: whoever changes it makes every case unreadable."""
    assert unpack(STORED) == EVENT


def test_plain_json_is_read_too() -> None:
    """A store written before values were packed needs no migration."""
    assert unpack(EVENT.encode()) == EVENT


def test_an_event_takes_less_than_half() -> None:
    """Packing pays."""
    assert len(pack(EVENT)) < len(EVENT.encode()) / 2


@pytest.mark.parametrize("broken", [STORED[:-3], STORED[:1] + b"\xff" * 9, b"\xff\xfe"])
def test_what_is_not_ours_is_named(broken: bytes) -> None:
    """A value cut short, or of no form of ours, is refused."""
    with pytest.raises(ValueError, match=r"not what pack writes|cut short|decode"):
        unpack(broken)


def test_a_snapshot_that_is_cut_short_is_an_unreadable_case(make_app: MakeApp) -> None:
    """The scheduler and the commands are told in the words they know."""
    rig = Rig(make_app(at=MORNING))
    case = rig.open()
    rig.app.client.set(Keys("demo").case(case.id), b"1||" + STORED[:-3])
    with pytest.raises(UnreadableCase, match="cut short"):
        rig.app.cases.load(case.id)
