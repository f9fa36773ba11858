"""The command line: one command, one file.

Law of this package: a command says what to do next when it fails, prints what a program can read
with ``--json``, and ends with 0 (done), 1 (refused or failed), 2 (not understood) or 78 (the
configuration does not make sense, as in sysexits.h). Nobody is ever shown a traceback who did not
ask for one, and no secret has to be an argument, where every other user of the machine could read
it.

To add a command, write a file with a function that typer understands and its ``EXAMPLES``, and
name it in ``commands``.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path
from traceback import extract_tb

INTERRUPTED = 130
"""What shells expect of a program that Ctrl-C ended."""

SHOW = "TOKENWARD_TRACEBACK"


def main() -> None:
    """Run the command named on the command line; never returns."""
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
        # Not what it says: that may be anything, a secret too.
        where = extract_tb(exc.__traceback__)[-1]
        place = f"{type(exc).__name__} in {Path(where.filename).name}, line {where.lineno}"
        sys.stderr.write(
            f"tokenward: this is a mistake of ours: {place}\n"
            f"  Please report it. With {SHOW}=1 in the environment it says more.\n"
        )
        sys.exit(1)


def _run(arguments: list[str]) -> None:
    if arguments[:1] == ["serve"] and not {"--help", "-h"} & set(arguments):
        # A server starts in a fraction of the time without the machinery of a command line.
        from tokenward.server.__main__ import main as serve  # noqa: PLC0415

        sys.exit(serve(arguments[1:]))
    from tokenward.cli.commands import app  # noqa: PLC0415

    app(prog_name="tokenward")
