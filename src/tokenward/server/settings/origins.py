"""Which pages may ask? Origins, as browsers write them (RFC 6454 §6.2, CORS)."""

import re

from tokenward.server.values import Wrong, texts

# An origin as browsers write it: scheme, host and, where it is not the usual one, the port
# (RFC 6454 §6.2); apps have schemes of their own.
_ORIGIN = re.compile(
    r"[a-z][a-z0-9+.-]*://([a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
)


def browser_origins(value: object) -> frozenset[str]:
    """Origins of browser applications, exactly as browsers write them."""
    found = texts(value)
    for position, one in enumerate(found):
        usual = one.endswith(":443") and one.startswith("https:")
        usual |= one.endswith(":80") and one.startswith("http:")
        if not _ORIGIN.fullmatch(one) or usual:
            raise Wrong(
                "is no origin as browsers write it",
                'an origin is scheme, host and any unusual port: "https://app.example.com", '
                '"http://localhost:3000"; no "/" at the end, no "*"',
                at=(position,) if isinstance(value, list) else (),
            )
    return frozenset(found)
