"""The body of a token request: application/x-www-form-urlencoded, read strictly.

Nothing is guessed: a broken escape, a byte that is not UTF-8 or a control character is refused,
because two readers that guess differently are how requests are smuggled.
"""

import re

from tokenward.oauth.errors import InvalidRequest

Form = list[tuple[str, str]]

MOST_FIELDS = 64

# RFC 3986 §2.1, in every spelling of the two digits.
_ESCAPES = {
    f"{high}{low}": bytes.fromhex(high + low)
    for high in "0123456789ABCDEFabcdef"
    for low in "0123456789ABCDEFabcdef"
}
# What grants and kinds of tokens are called takes longest to decode and is always the same.
_NAMES = {
    name.replace(":", escape): name
    for escape in ("%3A", "%3a")
    for name in (
        f"urn:ietf:params:oauth:{rest}"
        for rest in (
            "grant-type:token-exchange",
            "grant-type:jwt-bearer",
            "token-type:jwt",
            "token-type:access_token",
            "token-type:id_token",
            "token-type:mtls",
            "client-assertion-type:jwt-bearer",
        )
    )
}
_CONTROL = re.compile(r"[\x00-\x08\x0A-\x1F\x7F]")


def parse(body: bytes) -> Form:
    """Read the pairs of a form, in order; raises ``InvalidRequest`` (RFC 6749 App. B)."""
    if not body:
        return []
    if body.count(b"&") >= MOST_FIELDS:
        raise InvalidRequest(f"the form has more than {MOST_FIELDS} fields")
    text = body.decode("latin-1")
    # What machines write mostly stands for itself, but for an escape here and there.
    plain = text.isascii() and text.isprintable()
    pairs = []
    for field in text.split("&"):
        if field:
            name, _, value = field.partition("=")
            if plain and "%" not in field and "+" not in field:
                pairs.append((name, value))
            else:
                pairs.append((_decoded(name), _NAMES.get(value) or _decoded(value)))
    return pairs


def _decoded(raw: str) -> str:
    first, *escaped = raw.replace("+", " ").split("%")
    data = first.encode("latin-1")
    try:
        for piece in escaped:
            data += _ESCAPES[piece[:2]] + piece[2:].encode("latin-1")
        text = data.decode()
    except KeyError:
        raise InvalidRequest("the form contains a broken percent-escape") from None
    except UnicodeDecodeError:
        raise InvalidRequest("the form is not UTF-8") from None
    if not text.isprintable() and _CONTROL.search(text):
        raise InvalidRequest("the form contains a control character")
    return text
