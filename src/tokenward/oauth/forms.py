"""The body of a token request: application/x-www-form-urlencoded, read strictly.

Nothing is guessed: a broken escape, a byte that is not UTF-8 or a control character is refused,
because two readers that guess differently are how requests are smuggled.
"""

import re
from urllib.parse import unquote_to_bytes

from tokenward.oauth.errors import InvalidRequest

Form = list[tuple[str, str]]

MOST_FIELDS = 64

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x08\x0A-\x1F\x7F]")


def parse(body: bytes) -> Form:
    """Read the pairs of a form, in order; raises ``InvalidRequest`` (RFC 6749 App. B)."""
    if not body:
        return []
    if body.count(b"&") >= MOST_FIELDS:
        raise InvalidRequest(f"the form has more than {MOST_FIELDS} fields")
    text = body.decode("latin-1")
    plain = _is_plain(text)
    pairs = []
    for field in text.split("&"):
        if field:
            name, _, value = field.partition("=")
            pairs.append((name, value) if plain else (_decoded(name), _decoded(value)))
    return pairs


def _is_plain(text: str) -> bool:
    """Whether it stands for itself, as most forms of machines do."""
    return text.isascii() and text.isprintable() and "%" not in text and "+" not in text


def _decoded(raw: str) -> str:
    if _is_plain(raw):
        return raw
    if _BROKEN_ESCAPE.search(raw):
        raise InvalidRequest("the form contains a broken percent-escape")
    try:
        text = unquote_to_bytes(raw.replace("+", " ").encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the form is not UTF-8") from None
    if _CONTROL.search(text):
        raise InvalidRequest("the form contains a control character")
    return text
