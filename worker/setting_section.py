"""The base of all sections of settings."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of the sections: a misspelt key is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)
