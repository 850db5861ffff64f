"""Who gets an answer, as far as that changes what a response says. No I/O."""

from enum import StrEnum


class Audience(StrEnum):
    """Errors of a provider may name its account, hosts and keys."""

    OWNER = "owner"
    """The caller who started the run, or the operator: gets the provider's own words about a failure."""
    PUBLIC = "public"
    """Anyone else: gets a sentence and the code."""
