"""The command line: one command, one file.

Law of this package: a command says what to do next when it fails, prints what a program can read
with ``--json``, and ends with 0 (done), 1 (refused or failed), 2 (not understood) or 78 (the
configuration does not make sense, as in sysexits.h).

To add a command, write a file with a function that typer understands and name it in ``commands``.
"""

import sys


def main() -> None:
    """Run the command named on the command line; never returns."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["serve"] and not {"--help", "-h"} & set(arguments):
        # A server starts in a fraction of the time without the machinery of a command line.
        from tokenward.server.__main__ import main as serve  # noqa: PLC0415

        sys.exit(serve(arguments[1:]))
    from tokenward.cli.commands import app  # noqa: PLC0415

    app()
