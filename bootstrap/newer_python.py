"""Which Python to go on with when the one at hand is too old.

Law: readable by Python 3.6, like `tokenward` itself.
"""

import os
import shutil
import sys

NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")


def take_over() -> None:
    """Start the same command again under a newer Python, or end with what to do."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            os.execv(found, [found] + sys.argv)  # noqa: S606, RUF005 - ourselves; read by 3.6
    sys.exit(
        "tokenward: this is Python {}.{}, and tokenward needs 3.11 or newer.\n"
        "Install one beside it (it is found by its name: {}), then start again.".format(
            sys.version_info[0], sys.version_info[1], ", ".join(reversed(NAMES))
        )
    )
