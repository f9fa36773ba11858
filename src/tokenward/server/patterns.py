"""Is this text as somebody wanted it? Patterns in rules, and in the names of certificates.

Law of this module: pure, and strict: a pattern matches all of a text or nothing, and what stands
between the parts of a name is never covered by one ``*``.
"""

import re

PARTS = ":/"
"""What one ``*`` does not cover."""


def matches(wanted: object, actual: object) -> bool:
    """Whether a claim is as wanted; types are strict, and ``True`` is not ``1``.

    A list in the rule means any of them; a list in the token means any of its members; in a
    string, ``*`` stands for anything without ``:`` and ``/``, and ``**`` for anything at all.
    """
    if isinstance(wanted, list | tuple):
        return any(matches(one, actual) for one in wanted)
    if isinstance(actual, list | tuple):
        return any(matches(wanted, one) for one in actual if not isinstance(one, list | tuple))
    if isinstance(wanted, str) and isinstance(actual, str):
        return wanted == actual or ("*" in wanted and fits(wanted, actual))
    return type(wanted) is type(actual) and wanted == actual


def fits(pattern: str, text: str, parts: str = PARTS) -> bool:
    """Whether the whole text is as the pattern has it; ``parts`` are what ``*`` does not cover."""
    pieces = re.split(r"(\*\*|\*)", pattern)
    wild = {"**": r"(?s:.)*", "*": rf"[^{re.escape(parts)}]*"}
    return (
        re.fullmatch("".join(wild.get(one) or re.escape(one) for one in pieces), text) is not None
    )
