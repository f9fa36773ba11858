"""A signed token taken apart: three base64url parts, two dots, nothing looser (RFC 7515 §7.1).

Law: what is read here was written by a stranger.  It has exactly one spelling, nothing in it is
followed, and out comes the value or the one exception that the function names.

    InvalidToken        the token is not to be believed
    ├── UnknownKey      no key we hold is the one it names; newer keys may be
    └── Expired         everything else about it was right
"""

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import NamedTuple, NoReturn

try:
    import orjson
except ImportError:  # only the server brings it
    orjson = None  # type: ignore[assignment]

LONGEST = 16 * 1024
"""Characters in a token; no HTTP server would let a longer one through in a header anyway."""

DEEPEST = 32
"""Levels of arrays and objects in a JSON document."""

LONGEST_NAME = 512
"""Characters in a key id, and in whatever else a header calls by a name."""

_DOTS = 2
_LONGEST_HEADER_REMEMBERED = 512
_LONGEST_INTEGER = 20
_LONGEST_FRACTION = 40
_LIMITS = range(-(2**63), 2**64)  # what every other program can hold, signed or not


class InvalidToken(Exception):
    """The token is not to be believed; `str()` says why, without quoting anything from it.

    `claim` is the name of the claim it failed on, or empty if it failed on something else.
    """

    def __init__(self, reason: str, claim: str = "") -> None:
        super().__init__(reason)
        self.claim = claim


class UnknownKey(InvalidToken):
    """None of the keys is the one this token asks for.  It may help to fetch the keys anew."""


class Expired(InvalidToken):
    """Its time is over, and that is all that is wrong with it."""


@dataclass(frozen=True, slots=True)
class Compact:
    """A token in its parts, read but **not verified**."""

    header: Mapping[str, object]
    payload: bytes
    signed: bytes
    signature: bytes


class Header(NamedTuple):
    """What a header says, and the three members of it that we go by.

    `kind` is `typ` in its short form (RFC 7515 §4.1.9), empty if there is none.
    """

    members: Mapping[str, object]
    alg: str
    kid: str | None
    kind: str


# ── The token ──────────────────────────────────────────────────────────────────────────────────


def parse(token: str) -> Compact:
    """Take a compact JWS apart (RFC 7515 §5.2, steps 1 to 7).  Verifies nothing.

    `alg`, `kid` and `typ` of the header are strings of a sane length when this returns.  Raises
    InvalidToken, whatever it is given.
    """
    header, payload, signed, signature = parts(token)
    return Compact(header.members, payload, signed, signature)


def parts(token: str) -> tuple[Header, bytes, bytes, bytes]:
    """Do the work of `parse`; without a record, because `verify` is in a hurry."""
    if not isinstance(token, str):
        raise InvalidToken("not a string")
    if len(token) > LONGEST:
        raise InvalidToken("too long")
    try:
        signed, _, signature = token.encode("ascii").rpartition(b".")
        header, dot, payload = signed.partition(b".")
        if not dot:
            raise InvalidToken("not three parts of base64url")
        read = _remembered_header if len(header) <= _LONGEST_HEADER_REMEMBERED else _header
        # A third dot would be in the payload, and is no base64url.
        return read(header), _decode(payload), signed, _decode(signature)
    except ValueError:
        raise InvalidToken("not three parts of base64url") from None


def header_of(token: str) -> Header:
    """Read the header alone.  Verifies nothing; raises InvalidToken."""
    if len(token) > LONGEST:
        raise InvalidToken("too long")
    try:
        encoded = token.partition(".")[0].encode("ascii")
        if token.count(".") != _DOTS:
            raise InvalidToken("not three parts of base64url")
        return (_remembered_header if len(encoded) <= _LONGEST_HEADER_REMEMBERED else _header)(
            encoded
        )
    except ValueError:
        raise InvalidToken("not three parts of base64url") from None


def _header(encoded: bytes) -> Header:
    data = _decode(encoded)
    try:
        members = load_object(data)
    except ValueError as exc:
        raise InvalidToken(f"header: {exc}") from None
    # We understand no extension (RFC 7515 §4.1.11), so b64 (RFC 7797) and zip are refused even
    # where somebody forgot to call them critical; enc means that this is no JWS (RFC 7516 §9).
    for name in ("crit", "b64", "zip", "enc"):
        if name in members:
            raise InvalidToken(f"header: {name} is not understood")
    alg = _text(members, "alg", LONGEST_NAME)
    if alg is None:
        raise InvalidToken("header: alg is missing")
    kind = kind_of(_text(members, "typ", LONGEST_NAME) or "")
    return Header(MappingProxyType(members), alg, _text(members, "kid", LONGEST_NAME), kind)


def _text(members: Mapping[str, object], name: str, longest: int) -> str | None:
    if name not in members:
        return None
    said = members[name]
    if not isinstance(said, str) or not 0 < len(said) <= longest:
        raise InvalidToken(f"header: {name} is not a string of sane length")
    return said


# An issuer writes the same header into every token; what is refused is not remembered.
_remembered_header = lru_cache(maxsize=256)(_header)


def kind_of(typ: str) -> str:
    """Bring a media type into its short form (RFC 7515 §4.1.9)."""
    kind = typ.lower() if typ.isascii() else typ  # lower() makes a k of the Kelvin sign
    return kind.removeprefix("application/") or kind


# ── base64url ──────────────────────────────────────────────────────────────────────────────────

_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/\0\0\0")  # NUL is what a strict decoder refuses
_PADDING = (b"", b"", b"==", b"=")
# The last character may not carry bits that belong to nothing (RFC 4648 §3.5).
_LAST = (
    frozenset(range(256)),
    frozenset[int](),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)


def encode(data: bytes) -> str:
    """Write bytes as base64url without padding (RFC 7515 §2)."""
    return segment(data).decode()


def segment(data: bytes) -> bytes:
    """Write bytes as one part of a token."""
    return b2a_base64(data, newline=False).translate(_TO_URL, b"=")


def decode(text: str) -> bytes:
    """Read base64url in its one canonical spelling.  Raises ValueError for any other."""
    try:
        return _decode(text.encode("ascii"))
    except ValueError:
        raise ValueError("not canonical base64url") from None


def _decode(encoded: bytes) -> bytes:
    rest = len(encoded) % 4
    if encoded and encoded[-1] not in _LAST[rest]:
        raise ValueError("not canonical base64url")
    return a2b_base64(encoded.translate(_FROM_URL) + _PADDING[rest], strict_mode=True)


# ── JSON objects ───────────────────────────────────────────────────────────────────────────────


def load_object(data: bytes) -> dict[str, object]:
    """Read a JSON object that has only one meaning (RFC 8259, RFC 7493 §2).

    UTF-8 without a mark, no member twice at any depth, numbers of a sane size, no lone
    surrogates, at most 32 levels.  Raises ValueError, whose text quotes nothing.  The size of
    `data` is for the caller to limit.
    """
    if data.count(b"[") + data.count(b"{") > DEEPEST and not _is_shallow(data):
        raise ValueError("nested too deeply, or cut off")
    if orjson is not None:
        # A document that comes out as it went in, byte by byte, has only one meaning: nothing
        # in it was dropped, merged or rounded.  All others are for the slow and strict reader.
        try:
            quickly = orjson.loads(data)
            if isinstance(quickly, dict) and orjson.dumps(quickly) == data:
                return quickly
        except ValueError:
            pass
    return _load_strictly(data)


def _load_strictly(data: bytes) -> dict[str, object]:
    try:
        text = data.decode().strip(" \t\n\r")
        value, end = _JSON.raw_decode(text)
        if b"\\" in data:  # the only way to write half a character
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError:
        raise ValueError("not Unicode text") from None
    except json.JSONDecodeError as exc:
        raise ValueError(f"not JSON, at character {exc.pos}") from None
    if end != len(text):
        raise ValueError(f"not JSON, at character {end}")
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one error for all that is sent
    return value


def dump_object(value: Mapping[str, object]) -> bytes:
    """Write a JSON object compactly, as UTF-8.

    Raises TypeError or ValueError for what JSON cannot say.
    """
    if orjson is not None:
        return orjson.dumps(value if type(value) is dict else dict(value))
    return _dump_slowly(value)


def _dump_slowly(value: Mapping[str, object]) -> bytes:
    return _TO_JSON.encode(dict(value)).encode()


def _is_shallow(data: bytes) -> bool:
    """Count the levels without a parser, whose recursion is what has to be prevented."""
    quotes = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')  # without escaped ones
    brackets = b"".join(quotes[::2]).translate(_SQUARE, _NO_BRACKETS)
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"")  # the innermost level
    return not brackets


_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member twice")
    return members


def _integer(text: str) -> int:
    number = int(text) if len(text) <= _LONGEST_INTEGER else _LIMITS.stop
    if number not in _LIMITS:
        raise ValueError("a number out of range")
    return number


def _fraction(text: str) -> float:
    number = float(text) if len(text) <= _LONGEST_FRACTION else float("inf")
    if not isfinite(number):
        raise ValueError("a number out of range")
    return number


def _constant(_: str) -> NoReturn:
    raise ValueError("a number that is none")


_JSON = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
_TO_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
