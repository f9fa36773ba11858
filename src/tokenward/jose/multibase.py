"""Bytes as text that says itself how it is written, and numbers before bytes (multiformats).

Law: what is read has exactly one spelling.  Whatever could be decoded but would not be written
like that is refused, so that nothing has two names.
"""

from base64 import (
    b16decode,
    b16encode,
    b32decode,
    b32encode,
    b64decode,
    b64encode,
    urlsafe_b64decode,
    urlsafe_b64encode,
)
from collections.abc import Callable
from typing import NamedTuple

LONGEST = 4096
"""Characters of a text; the longest key we know, of 4,096 bits, has fewer than a quarter as many
when it is public and fewer than all when it is private."""

_LONGEST_58 = 1024  # what it costs grows with the square of the length
_ALPHABET_58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS_58 = {letter: number for number, letter in enumerate(_ALPHABET_58)}
_LONGEST_NUMBER = 3


class _Base(NamedTuple):
    read: Callable[[str], bytes]
    write: Callable[[bytes], str]


def decode(text: str) -> bytes:
    """Read a text whose first letter names its base: b B f F z u U m M.  Raises ValueError.

    The text of the error quotes nothing: it may have been a secret.
    """
    base = _BASES.get(text[:1])
    if base is None:
        raise ValueError("not a multibase we know")
    rest = text[1:]
    if len(rest) > LONGEST or not rest.isascii():
        raise ValueError("too long, or with strange letters")
    try:
        data = base.read(rest)
    except (ValueError, KeyError):
        raise ValueError("letters that do not belong there") from None
    if base.write(data) != rest:
        raise ValueError("not in its one spelling")
    return data


def encode(data: bytes) -> str:
    """Write base32 in small letters without padding, as all of libp2p does."""
    return "b" + _BASES["b"].write(data)


def encode_58(data: bytes) -> str:
    """Write base58btc, as DIDs do."""
    return "z" + _to_58(data)


def number(data: bytes, at: int = 0) -> tuple[int, int]:
    """Read an unsigned varint: the number, and where what follows begins.  Raises ValueError."""
    value = 0
    for place, byte in enumerate(data[at : at + _LONGEST_NUMBER]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004
            if place and not byte:
                break  # a shorter one says the same
            return value, at + place + 1
    raise ValueError("not a number")


def numbered(value: int) -> bytes:
    """Write an unsigned varint."""
    said = bytearray()
    while value > 0x7F:  # noqa: PLR2004
        said.append(value & 0x7F | 0x80)
        value >>= 7
    said.append(value)
    return bytes(said)


def _from_58(text: str) -> bytes:
    if len(text) > _LONGEST_58:
        raise ValueError("too long")
    value = 0
    for letter in text:
        value = value * 58 + _DIGITS_58[letter]
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + value.to_bytes((value.bit_length() + 7) // 8, "big")


def _to_58(data: bytes) -> str:
    value, letters = int.from_bytes(data, "big"), []
    while value:
        value, digit = divmod(value, 58)
        letters.append(_ALPHABET_58[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def _padded(text: str, to: int) -> str:
    return text + "=" * (-len(text) % to)


def _bare(written: bytes) -> str:
    return written.rstrip(b"=").decode()


# https://github.com/multiformats/multibase/blob/master/multibase.csv
_BASES: dict[str, _Base] = {
    "b": _Base(
        lambda text: b32decode(_padded(text.upper(), 8)),
        lambda data: _bare(b32encode(data)).lower(),
    ),
    "B": _Base(lambda text: b32decode(_padded(text, 8)), lambda data: _bare(b32encode(data))),
    "f": _Base(lambda text: b16decode(text.upper()), lambda data: data.hex()),
    "F": _Base(b16decode, lambda data: b16encode(data).decode()),
    "z": _Base(_from_58, _to_58),
    "m": _Base(
        lambda text: b64decode(_padded(text, 4), validate=True),
        lambda data: _bare(b64encode(data)),
    ),
    "M": _Base(lambda text: b64decode(text, validate=True), lambda data: b64encode(data).decode()),
    "u": _Base(
        lambda text: urlsafe_b64decode(_padded(text, 4)),
        lambda data: _bare(urlsafe_b64encode(data)),
    ),
    "U": _Base(urlsafe_b64decode, lambda data: urlsafe_b64encode(data).decode()),
}
