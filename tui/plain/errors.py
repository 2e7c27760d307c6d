"""Why a command was not carried out; each message says what to do."""


class UsageError(Exception):
    """It was not understood."""


class Failed(Exception):
    """It was understood, and could not be done."""
