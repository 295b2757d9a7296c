"""Errors that a user can mend: one sentence that says what is wrong, where, and what to do."""


class BytelapError(Exception):
    """A problem the user can mend; printed as one sentence, without a traceback, with exit status 2."""


class Unavailable(BytelapError):  # noqa: N818 (a status, not a mistake)
    """Something optional is missing on this machine (a package, a GPU); the run becomes an `unavailable` row."""


class InvalidScore(BytelapError):  # noqa: N818
    """A model's answer breaks the rules of scoring (shape, finite, normalised); the run becomes `invalid`."""
