"""A task for a person."""

from dataclasses import replace

from channels import registry
from channels.base import Accepted
from tests.channels.samples import SMS


def test_a_task_is_accepted_under_its_own_id() -> None:
    """Nothing leaves: the worker keeps the list, and finds the task by the message."""
    channel = registry.build("task", registry.settings_for("task", {}), {})
    assert channel.send(replace(SMS, channel="task")) == Accepted(SMS.id)
    assert channel.real is False
