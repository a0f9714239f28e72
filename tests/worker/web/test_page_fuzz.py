"""Whatever is sent to the debtor's doors: no error of ours, and no change but by a form that the page gave out."""

from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import MakeApp
from worker.web.page import doors as page_doors
from worker.web.page.form import CHOICES
from worker.web.page.pace import Pace

from .served import Doors
from .visitor import Visitor, visiting

TRIED = settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])

#: Nothing that Python's own client would refuse to send.
HEADERS = st.dictionaries(
    st.sampled_from(["Content_Type", "Origin", "Sec_Fetch_Site", "Accept_Language", "X_Forwarded_For", "Cookie"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
    max_size=4,
)
BODIES = st.one_of(
    st.binary(max_size=300),
    st.lists(st.tuples(st.sampled_from(["number", "answer", "on", "count", "text", "channel"]), st.text(max_size=40)))
    .map(urlencode, )
    .map(str.encode),
    st.sampled_from(sorted(CHOICES)).map(lambda choice: f"answer={choice}&channel=email&on=2026-04-15".encode()),
)  # fmt: skip
PURPOSES = st.sampled_from(["r", "u"])


@pytest.fixture
def visitor(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    """Nobody is too fast here: hundreds of requests are the point."""
    monkeypatch.setattr(page_doors, "_LINK", Pace(1_000_000, 0.0))
    monkeypatch.setattr(page_doors, "_CLIENT", Pace(1_000_000, 0.0))
    with visiting(make_app) as visitor:
        yield visitor


def forged(token: str, cut: int, put: str) -> str:
    """That token, with something else in that place."""
    return token[: cut % (len(token) + 1)] + put + token[cut % (len(token) + 1) + 1 :]


@pytest.mark.parametrize("purpose", ["r", "u"])
def test_a_get_of_any_address_is_answered_and_changes_nothing(visitor: Visitor, purpose: str) -> None:
    """Made-up tokens, forged ones, any headers: a page, never an error of ours."""
    before, token = Doors(visitor.app, visitor.port).kept(), visitor.token(purpose)

    @TRIED
    @given(
        st.one_of(st.text(max_size=60), st.builds(lambda *a: forged(token, *a), st.integers(0), st.text(max_size=3))),
        HEADERS,
    )
    def look(path: str, headers: dict[str, str]) -> None:
        method = "HEAD" if len(path) % 2 else "GET"
        assert visitor.ask(method, f"/{purpose}/{quote(path, safe='')}", b"", **headers).status < 500

    look()
    assert Doors(visitor.app, visitor.port).kept() == before


@pytest.mark.parametrize("purpose", ["r", "u"])
def test_a_post_that_no_page_gave_out_changes_nothing(visitor: Visitor, purpose: str) -> None:
    """With the right link, even: without the form's number, or one click's own words, nothing is taken from it."""
    before, token = Doors(visitor.app, visitor.port).kept(), visitor.token(purpose)

    @TRIED
    @given(BODIES, HEADERS)
    def post(body: bytes, headers: dict[str, str]) -> None:
        assert 200 <= visitor.ask("POST", f"/{purpose}/{token}", body, **headers).status < 500

    post()
    assert Doors(visitor.app, visitor.port).kept() == before


def test_a_form_with_anything_in_its_fields_is_answered(visitor: Visitor) -> None:
    """The page's own number, and any values: taken, shown again with what is wrong, or refused."""

    @TRIED
    @given(
        st.sampled_from(sorted(CHOICES.keys() - {"wrong_person"})),
        st.dictionaries(
            st.sampled_from(["on", "count", "method", "reason", "invoices", "text", "channel"]), st.text(max_size=50)
        ),
    )
    def fill(choice: str, fields: dict[str, str]) -> None:
        assert visitor.send(choice, **fields).status in (303, 403, 422)

    fill()


def test_a_body_too_large_is_refused(visitor: Visitor) -> None:
    """Before it is read to its end."""
    body = b"text=" + b"a" * page_doors.LARGEST
    for purpose in ("r", "u"):
        assert visitor.post(f"/{purpose}/{visitor.token(purpose)}", body).status == 413
    assert visitor.said() == []
