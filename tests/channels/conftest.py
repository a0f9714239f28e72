"""Shared by the adapters' tests: a provider to talk to and messages to send."""

from collections.abc import Iterator

import pytest

from tests.channels.peers import Provider


@pytest.fixture
def provider() -> Iterator[Provider]:
    """An HTTP server that answers what a test tells it to."""
    server = Provider()
    yield server
    server.close()
