"""Every error a user can cause or meet.

PlumbruleError
    ConfigError          a setting is out of range or contradicts another
    DataError            the data cannot support the question asked of it
        ConstitutionError    a constitution does not say what a constitution must say
        LedgerError          a ledger does not hold what it was written with
    ModelError           a model cannot be opened or cannot do what is asked of it
        AccessError          an endpoint takes no request of ours: address, key, route or form
    OutputError          the output folder belongs to something else
    OutsideError         a part outside failed; the same command resumes
        StorageError         the disk did not take what was written
        EndpointError        an endpoint failed for longer than it was retried
        BudgetError          the money or calls allowed are spent

A message says what was expected, what came, and what to do. `exit_code` is what the command line
ends with: 2 where the user's input is wrong, 3 where a part outside failed.
"""


class PlumbruleError(Exception):
    """Base of all errors raised on purpose by this package."""

    exit_code = 2


def brief(error: BaseException, most: int = 300) -> str:
    """What a library says of an error, on one line and not without end.

    Args:
        error: The error.
        most: Characters.

    Example:
        >>> brief(KeyError("a"))
        "KeyError: 'a'"
    """
    said = " ".join(str(error).split())
    if isinstance(error, KeyError) or not said:  # its text is the bare key
        said = f"{type(error).__name__}: {said}".rstrip(": ")
    return said if len(said) <= most else f"{said[: most - 1]}…"


class ConfigError(PlumbruleError, ValueError):
    """A setting is out of range or contradicts another."""


class DataError(PlumbruleError, ValueError):
    """The data cannot support the question asked of it."""


class ConstitutionError(DataError):
    """A constitution does not say what a constitution must say."""


class LedgerError(DataError):
    """A ledger does not hold what it was written with."""


class ModelError(PlumbruleError, ValueError):
    """A model cannot be opened, or cannot do what is asked of it."""


class AccessError(ModelError):
    """An endpoint takes no request of ours: its address, key, route or form is not right.

    It says nothing about what was to be asked, so it is never kept as an answer: once it is mended
    the same command asks again.
    """


class OutputError(PlumbruleError, FileExistsError):
    """The output folder belongs to something else."""


class OutsideError(PlumbruleError, OSError):
    """A part outside failed; the same command resumes."""

    exit_code = 3


class StorageError(OutsideError):
    """The disk did not take what was written."""


class EndpointError(OutsideError):
    """An endpoint failed for longer than it was retried."""


class BudgetError(OutsideError):
    """The money or calls allowed are spent."""
