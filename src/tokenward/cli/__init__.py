"""The command line: one command, one file.

Law of this package: a command says what to do next when it fails, prints what a program can read
with ``--json``, and ends with 0 (done), 1 (refused or failed), 2 (not understood) or 78 (the
configuration does not make sense, as in sysexits.h). Nobody is ever shown a traceback who did not
ask for one, and no secret has to be an argument, where every other user of the machine could read
it.

To add a command, write a file with a function that typer understands and its ``EXAMPLES``, and
name it in ``commands``.
"""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import extract_tb
from typing import Any

INTERRUPTED = 130
"""What shells expect of a program that Ctrl-C ended."""

SHOW = "TOKENWARD_TRACEBACK"


def main() -> None:
    """Run the command named on the command line; never returns."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal can write an ellipsis
    try:
        _run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # whoever reads us, head for instance, has had enough
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as exc:
        if os.environ.get(SHOW):
            raise
        sys.stderr.write(f"tokenward: {_told(exc)}\n")
        sys.exit(1)


def _told(exc: Exception) -> str:
    """What went wrong, and not what the error itself says: that may be anything, a secret too."""
    if isinstance(exc, ModuleNotFoundError) and not (exc.name or "tokenward").startswith(
        "tokenward"
    ):
        return (
            f"this needs {exc.name}, which is not installed\n"
            "  The library alone has no commands: pip install 'tokenward[server]' brings them."
        )
    where = extract_tb(exc.__traceback__)[-1]
    place = f"{type(exc).__name__} in {Path(where.filename).name}, line {where.lineno}"
    return (
        f"this is a mistake of ours: {place}\n"
        f"  Please report it. With {SHOW}=1 in the environment it says more."
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait for the end of this, which reads modules and starts nobody.

    In the middle of a module that is not written in Python it would end the interpreter itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(arguments: list[str]) -> None:
    if arguments[:1] == ["serve"] and not {"--help", "-h"} & set(arguments):
        # A server starts in a fraction of the time without the machinery of a command line.
        with undisturbed():
            from tokenward.server.__main__ import main as serve  # noqa: PLC0415

        sys.exit(serve(arguments[1:]))
    if arguments[:1] == ["dev"] and (options := _plain(arguments[1:])) is not None:
        with undisturbed():
            from tokenward.cli.practising import practise  # noqa: PLC0415

        practise(**options)
        return
    with undisturbed():
        from tokenward.cli.commands import app  # noqa: PLC0415

    app(prog_name="tokenward")


def _plain(arguments: list[str]) -> dict[str, Any] | None:
    """What ``tokenward dev`` is told, if it is as plain as can be; whatever else is typer's."""
    options: dict[str, Any] = {}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if argument == "--json":
            options["json"] = True
        elif name in ("--port", "--data"):
            value = value if equals else next(rest, "")
            if name == "--data" and value:
                options["data"] = Path(value)
            elif name == "--port" and value.isascii() and value.isdigit() and int(value) < 2**16:
                options["port"] = int(value)
            else:
                return None
        else:
            return None
    return options
