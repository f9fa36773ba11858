"""What was secret while real servers ran, and all that those servers wrote: do the two ever meet?

Law: nothing is found by looking at nothing. A server that wrote nothing, a ledger without secrets
and a token that left without being entered here are failures, as a secret that was found is.
"""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SHORTEST = 10
"""Bytes; shorter ones would be found by chance."""

_JWT = re.compile(r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{10,}")
_LINE_BREAKS = re.compile(rb"(?:\r|\n|\\r|\\n)+")


class Leak(AssertionError):
    """Something was written that must not be, or cannot be told not to have been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """Something that must not be written, by its name; the message of a failure has no more."""

    name: str
    value: bytes = field(repr=False)
    home: Path | None = None
    """The one file that is there to hold it."""


@dataclass(slots=True)
class Ledger:
    """Everything that was secret, and everything that was written."""

    secrets: dict[bytes, Secret] = field(default_factory=dict, repr=False)
    written: dict[tuple[Path, bytes], str] = field(default_factory=dict, repr=False)
    entered: set[str] = field(default_factory=set, repr=False)
    """The SHA-256 of every token that is among the secrets."""

    left: dict[str, str] = field(default_factory=dict, repr=False)
    """The SHA-256 of every token that an audit trail knows, and whose trail that is."""

    def secret(self, name: str, value: str | bytes, *, home: Path | None = None) -> None:
        """Enter something that must not be written."""
        data = value.encode() if isinstance(value, str) else value
        assert len(data) >= SHORTEST, f"{name} is too short to be looked for"
        self.secrets.setdefault(data, Secret(name=name, value=data, home=home))

    def token(self, name: str, value: str) -> str:
        """Enter a token; of a JWT the signature, without which the rest is worth nothing."""
        self.entered.add(sha256(value.encode()).hexdigest())
        if _JWT.fullmatch(value):
            self.secret(f"the signature of {name}", value.rpartition(".")[2])
        else:
            self.secret(name, value)
        return value

    def private_key(self, name: str, key: Any) -> None:
        """Enter the secret numbers of a key, which are in it however it is written."""
        if isinstance(key, Ed25519PrivateKey):
            self.secret(f"the seed of {name}", key.private_bytes_raw())
            return
        numbers = key.private_numbers()
        for part in ("private_value", "d", "p", "q", "dmp1", "dmq1", "iqmp"):
            if number := getattr(numbers, part, 0):
                data = number.to_bytes((number.bit_length() + 7) // 8, "big")
                self.secret(f"{part} of {name}", data)

    def tokens(self, name: str, answer: object) -> None:
        """Enter every JWT anywhere in an answer, and whatever else is an access token there."""
        match answer:
            case str():
                for found in _JWT.findall(answer):
                    self.token(name, found)
            case Mapping():
                if isinstance(opaque := answer.get("access_token"), str):
                    self.token(name, opaque)
                for value in answer.values():
                    self.tokens(name, value)
            case list() | tuple():
                for value in answer:
                    self.tokens(name, value)

    def wrote(self, path: Path, data: bytes, name: str = "") -> None:
        """Enter what somebody wrote."""
        if data:
            self.written[path, data] = name or str(path)

    def trail(self, name: str, lines: bytes) -> None:
        """Enter an audit trail: each of the tokens in it must be entered too."""
        for line in lines.splitlines():
            if digest := json.loads(line).get("token_sha256"):
                self.left[digest] = name

    def found(self) -> list[str]:
        """Where which secret was written, and how."""
        needles = [(secret, forms(secret.value)) for secret in self.secrets.values()]
        leaks = []
        for (path, data), name in self.written.items():
            joined = _LINE_BREAKS.sub(b"", data)
            for secret, ways in needles:
                if path == secret.home:
                    continue
                leaks += [
                    f"{secret.name}, {how}, in {name}"
                    for needle, how in ways.items()
                    if needle in data or needle in joined
                ]
        return sorted(set(leaks))

    def check(self) -> None:
        """Raise ``Leak`` if a secret was written, or if there was nothing to look for or at."""
        if not self.secrets or not self.written:
            raise Leak(f"{len(self.secrets)} secrets looked for in {len(self.written)} files")
        if unknown := self.left.keys() - self.entered:
            trails = sorted({self.left[digest] for digest in unknown})
            raise Leak(f"{len(unknown)} tokens are in {trails} that no test entered")
        if leaks := self.found():
            raise Leak("\n".join(["secrets were written:", *leaks]))


def forms(secret: bytes) -> dict[bytes, str]:
    """Every way to write it that is looked for, and what that is called."""
    written: dict[bytes, str] = {}
    for how, text in _spellings(secret):
        written.setdefault(text, how)
    for how, text in list(_spellings(secret)):
        for name, encode in (("base64", b64encode), ("base64url", urlsafe_b64encode)):
            for before in range(3):
                # What stands before and after decides about the characters at either end.
                whole = encode(b"\0" * before + text)
                clean = whole[-(-before * 8 // 6) : (before + len(text)) * 8 // 6]
                written.setdefault(clean, f"{how} in {name}")
    written.setdefault(secret.hex().encode(), "in hex")
    written.setdefault(secret.hex().upper().encode(), "in hex")
    return written


def _spellings(secret: bytes) -> Iterator[tuple[str, bytes]]:
    yield "as it is", secret
    percent = quote_from_bytes(secret, safe="")
    yield "percent-encoded", percent.encode()
    yield "percent-encoded", quote_from_bytes(secret).encode()
    yield "percent-encoded", percent.replace("%20", "+").encode()
    yield "percent-encoded", re.sub("%..", lambda found: found[0].lower(), percent).encode()
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return
    yield "percent-encoded", quote(text, safe="!'()*").encode()  # as JavaScript has it
    yield "as a string", json.dumps(text)[1:-1].encode()
    yield "as a string", json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield "as a string", repr(text)[1:-1].encode()


LEDGER = Ledger()
"""One for all tests of a session, so that no server may write what another one's tests used."""


@pytest.fixture(scope="session")
def ledger() -> Iterator[Ledger]:
    """The ledger; when all servers have stopped, it is looked through."""
    yield LEDGER
    LEDGER.check()
