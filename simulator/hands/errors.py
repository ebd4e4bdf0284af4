"""Why a hand could not do what it was asked."""


class HandError(Exception):
    """The act is impossible in this world; the text says why."""
