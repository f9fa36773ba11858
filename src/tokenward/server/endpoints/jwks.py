"""The public keys of an issuer: a JWK Set (RFC 7517 §5)."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import ClassVar

import orjson

from tokenward.server.endpoints import PUBLIC
from tokenward.server.http import Answer, Received
from tokenward.server.keyring import Ring

MAX_AGE = 300
"""Seconds a verifier may keep it: a new key is published longer than that before it signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksEndpoint:
    """The keys, rendered whenever they are others."""

    ring: Ring
    methods: ClassVar[frozenset[str]] = frozenset({"GET"})
    cors: ClassVar[str] = PUBLIC
    _rendered: list[tuple[int, Answer]] = field(default_factory=list, init=False, repr=False)

    async def answer(self, received: Received) -> Answer:
        """The whole set, or 304 to those who have it."""
        generation = self.ring.generation
        if not self._rendered or self._rendered[0][0] != generation:
            whole = cacheable(self.ring.jwks(), b"application/jwk-set+json")
            self._rendered[:] = [(generation, whole)]
        return unless_known(self._rendered[0][1], received)


def cacheable(document: dict[str, object], kind: bytes = b"application/json") -> Answer:
    """A public document that may be kept for a while, with its ETag (RFC 9110 §8.8.3)."""
    body = orjson.dumps(document)
    tag = b'"' + sha256(body).hexdigest()[:32].encode() + b'"'
    kept = b"public, max-age=%d" % MAX_AGE
    return Answer(200, ((b"content-type", kind), (b"cache-control", kept), (b"etag", tag)), body)


def unless_known(whole: Answer, received: Received) -> Answer:
    """The answer, or 304 where the ETag is the one already known (RFC 9110 §13.1.2)."""
    lists = [value for name, value in received.headers if name == b"if-none-match"]
    if not lists:
        return whole
    tag = whole.headers[-1][1]
    known = [one.strip().removeprefix(b"W/") for one in b",".join(lists).split(b",")]
    if tag in known or b"*" in known:
        return Answer(304, whole.headers[1:], b"")
    return whole
