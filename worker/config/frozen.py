"""What every value read from a creditor's file is."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value read from a file: nothing unknown in it, nothing changed after."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)
