"""The body of a token request: application/x-www-form-urlencoded, read strictly.

Nothing is guessed: a broken escape, a byte that is not UTF-8 or a control character is refused,
because two readers that guess differently are how requests are smuggled.
"""

import re
from urllib.parse import unquote_to_bytes

from tokenward.oauth.errors import InvalidRequest

Form = list[tuple[str, str]]

MOST_FIELDS = 64

_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_PLAIN = re.compile(rb"[A-Za-z0-9._~:/*!$'()-]*")
_CONTROL = re.compile(r"[\x00-\x08\x0A-\x1F\x7F]")


def parse(body: bytes) -> Form:
    """Read the pairs of a form, in order; raises ``InvalidRequest`` (RFC 6749 App. B)."""
    if not body:
        return []
    fields = body.split(b"&")
    if len(fields) > MOST_FIELDS:
        raise InvalidRequest(f"the form has more than {MOST_FIELDS} fields")
    pairs = []
    for field in fields:
        if not field:
            continue
        name, _, value = field.partition(b"=")
        pairs.append((_text(name), _text(value)))
    return pairs


def _text(raw: bytes) -> str:
    if _PLAIN.fullmatch(raw):
        return raw.decode("ascii")
    if _BROKEN_ESCAPE.search(raw):
        raise InvalidRequest("the form contains a broken percent-escape")
    try:
        text = unquote_to_bytes(raw.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise InvalidRequest("the form is not UTF-8") from None
    if _CONTROL.search(text):
        raise InvalidRequest("the form contains a control character")
    return text
