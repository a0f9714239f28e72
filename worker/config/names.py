"""Names that stand for something elsewhere in the folder: checked against what is there while a file is read."""

from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from worker.problems import unknown


def _channel(value: str, info: ValidationInfo) -> str:
    return _known(value, info, "channels", "a channel")


def _provider(value: str, info: ValidationInfo) -> str:
    return _known(value, info, "providers", "a provider")


def _strategy(value: str, info: ValidationInfo) -> str:
    return _known(value, info, "strategies", "a strategy")


def _known(value: str, info: ValidationInfo, group: str, kind: str) -> str:
    """Without a context (a value built by hand) every name is taken."""
    known = (info.context or {}).get(group)
    if known is not None and value not in known:
        raise ValueError(unknown(value, kind, known))
    return value


ChannelName = Annotated[str, AfterValidator(_channel)]
ProviderName = Annotated[str, AfterValidator(_provider)]
StrategyName = Annotated[str, AfterValidator(_strategy)]
