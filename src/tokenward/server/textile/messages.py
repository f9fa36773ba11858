"""What is said on a WebSocket of Textile's examples: JSON as text, bytes as Node.js writes them.

    client                                  server
    {"type": "token", "pubkey": "b…"}       {"type": "challenge", "value": BYTES}
    {"type": "challenge", "sig": BYTES}     {"type": "token", "value": …}
                                            {"type": "error", "value": "…"}

BYTES is ``{"type": "Buffer", "data": [1, 2, …]}``; a list of numbers alone is understood, too.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from tokenward.jose.identity import PublicKey, UnusableKey
from tokenward.jose.jws import dump_object, load_object
from tokenward.oauth.errors import InvalidRequest

LONGEST = 4 * 1024
"""Bytes of a message: an RSA key and what is around it."""

LONGEST_SIGNATURE = 512
"""Bytes: RSA with 4,096 bits."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants a token for the owner of this key."""

    key: PublicKey


@dataclass(frozen=True, slots=True)
class Signed:
    """The answer to a challenge."""

    signature: bytes = field(repr=False)


Said: TypeAlias = Asked | Signed


def heard(message: bytes) -> Said:
    """Read what a client says; raises ``InvalidRequest``, which repeats nothing of it."""
    try:
        said = load_object(message)
    except ValueError:
        raise InvalidRequest("not a JSON object") from None
    match said.get("type"):
        case "token":
            return Asked(_key(said.get("pubkey", said.get("pub"))))
        case "challenge":
            return Signed(_bytes(said.get("sig")))
    raise InvalidRequest("type must be token or challenge")


def challenge(value: bytes) -> bytes:
    """What is to be signed."""
    return dump_object({"type": "challenge", "value": {"type": "Buffer", "data": list(value)}})


def token(value: object) -> bytes:
    """What was asked for: a token, or all that a client of Textile's wants to know."""
    return dump_object({"type": "token", "value": value})


def error(value: str) -> bytes:
    """What went wrong."""
    return dump_object({"type": "error", "value": value})


def _key(said: object) -> PublicKey:
    if said in (None, ""):
        raise InvalidRequest("missing pubkey")
    try:
        if isinstance(said, str):
            return PublicKey.from_string(said)
    except UnusableKey as exc:
        raise InvalidRequest("invalid pubkey", detail=f"pubkey: {exc}") from None
    raise InvalidRequest("invalid pubkey", detail="pubkey: no string")


def _bytes(said: object) -> bytes:
    if said is None:
        raise InvalidRequest("missing signature (sig)")
    if isinstance(said, dict) and said.keys() == {"type", "data"} and said["type"] == "Buffer":
        said = said["data"]
    if not isinstance(said, list) or len(said) > LONGEST_SIGNATURE:
        raise InvalidRequest("invalid signature (sig)", detail="sig: not bytes as JSON")
    if not all(type(one) is int and 0 <= one <= 255 for one in said):  # noqa: PLR2004
        raise InvalidRequest("invalid signature (sig)", detail="sig: not numbers of a byte")
    if not said:
        raise InvalidRequest("missing signature (sig)")
    return bytes(said)
