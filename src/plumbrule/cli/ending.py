"""How the command line ends when something goes wrong: one message, and a code that says what.

1 is kept for what a verb found (a gate that failed, a confirmed change, a flaw), so an error that
nobody foresaw, an interruption and a reader that went away each have a code of their own.
"""

import errno
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from types import FrameType

from rich.console import Console
from rich.markup import escape

from plumbrule.errors import PlumbruleError

UNEXPECTED = 70
"""An error that is not one of ours: a fault of this program."""

INTERRUPTED = 130
NOBODY_READS = 141
"""The other end of a pipe was closed, as by `head`."""

LONGEST = 300
"""Characters of an unforeseen error that the message shows."""

LONGEST_MESSAGE, LONGEST_WORD = 1400, 300
"""Characters: what was typed may be of any length, and is repeated in what is said of it."""

_NAMES = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.ENAMETOOLONG,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EROFS,
        errno.ETXTBSY,
    }
)
"""What is wrong with a file that a user named, wherever it shows."""

_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE})
"""What is wrong with the machine's disk: the same command goes on once it is mended."""

_PACKAGES = ("plumbrule", "torch", "transformers", "trl", "peft", "tokenizers", "numpy", "httpx")
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def end_well(work: Callable[[], None]) -> None:
    """Run the command line, and end the process with a message and a code whatever happens.

    Args:
        work: The command line itself; it ends with `SystemExit` where all is well.
    """
    try:
        with _stopping_at_once():
            work()
    except PlumbruleError as error:
        if os.environ.get("PLUMBRULE_TRACEBACK"):
            traceback.print_exc()
        _say(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _interrupted()
    except SystemExit as ended:
        # The library in between turns both of these into codes that mean something else here.
        if _comes_of(ended, KeyboardInterrupt):
            _interrupted()
        if _comes_of(ended, BrokenPipeError):
            os._exit(NOBODY_READS)
        raise
    except BrokenPipeError:
        os._exit(NOBODY_READS)
    except OSError as error:
        if error.filename is None or error.errno not in _NAMES | _DISK:
            _say(_unforeseen(error))
            sys.exit(UNEXPECTED)
        _say(
            f"expected {error.filename} to be a file or folder that can be used, it cannot: "
            f"{error.strerror}. Check its name, its rights and the room on its disk."
        )
        sys.exit(3 if error.errno in _DISK else 2)
    except BaseException as error:
        _say(_unforeseen(error))
        sys.exit(UNEXPECTED)


@contextmanager
def _stopping_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process without waiting for calls and products that are under way.

    Everything is written so that a kill loses nothing, so there is nothing to tidy up.
    """
    # Where the shell asked for interruptions to be ignored, leave that.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, _on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    _interrupted(leave=os._exit)


def _interrupted(leave: Callable[[int], None] = sys.exit) -> None:
    console = Console(stderr=True)
    if console.is_terminal:
        console.show_cursor(True)  # progress bars hide it
    with suppress(Exception):
        console.print("\nplumbrule: stopped; the same command goes on from here")
        sys.stdout.flush()
        sys.stderr.flush()
    leave(INTERRUPTED)


def _say(message: str) -> None:
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"[bold red]plumbrule:[/] {escape(shortened(message))}", highlight=False)


def shortened(message: str) -> str:
    """A message with what is very long in it cut in the middle.

    Example:
        >>> len(shortened("expected a name, got " + "a" * 5000)) < 400
        True
    """
    words = re.sub(
        rf"\S{{{LONGEST_WORD + 1},}}", lambda found: f"{found[0][:200]} … {found[0][-60:]}", message
    )
    if len(words) <= LONGEST_MESSAGE:
        return words
    return f"{words[: LONGEST_MESSAGE - 400]} … {words[-390:]}"


def _comes_of(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error was raised because of, or while handling, one of a kind."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        if isinstance(one, kind):
            return True
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
    return False


def _unforeseen(error: BaseException) -> str:
    """Write down what happened, and say where."""
    what = _shown(f"{type(error).__name__}: {error}")
    place = _written("".join(traceback.format_exception(error)))
    where = f"Details are in {place}" if place else "Details are above; no disk took them"
    if place is None:
        traceback.print_exception(error)
    return (
        f"an error that this program did not foresee: {what[:LONGEST]}. It is a fault of "
        f"plumbrule's and says nothing about what was examined. {where}. To report it, send them "
        "to whoever gave you plumbrule, with the command and, where you can, its input; read them "
        "first, they may quote your data. What was finished is kept: the same command goes on."
    )


def _written(trace: str) -> str | None:
    """File with the traceback, for this user alone; None where no disk takes it."""
    versions = []
    for name in _PACKAGES:
        with suppress(Exception):
            versions.append(f"{name} {version(name)}")
    text = "\n".join(
        [
            f"command: {' '.join(map(repr, sys.argv))}",
            f"python {sys.version.split()[0]} on {sys.platform}; {', '.join(versions)}",
            "",
            trace,
        ]
    )
    try:
        handle, path = tempfile.mkstemp(prefix="plumbrule-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_without_keys(text))
    except OSError:
        return None
    return path


def _without_keys(text: str) -> str:
    """The text without the value of any environment variable that sounds like a secret."""
    from plumbrule.models.concealing import conceal

    for name, value in os.environ.items():
        if any(word in name.upper() for word in _SECRET):
            text = conceal(text, value.strip())
    return text


def _shown(text: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in _without_keys(text))
    return " ".join(line.split())
