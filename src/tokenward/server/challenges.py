"""Questions to whoever says that a key is theirs, and what they answer; each is good once.

A question (a nonce) is kept nowhere. It carries its time and a mark that only this server can
make, of whom it was for: one key, one client, one issuer. So a million of them write nothing.
What is written is that one has been answered, by a key that somebody here trusts: in one
conditional write, remembered for longer than anybody would believe it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes
from typing import NamedTuple

from tokenward.clock import Clock
from tokenward.jose import keyproof
from tokenward.jose.identity import PublicKey
from tokenward.jose.jws import InvalidToken, decode, encode
from tokenward.server.seal import Seal
from tokenward.server.stores import Shelf

LIFETIME = 60.0
"""Seconds for an answer; signing takes none of them, and nobody has to think."""

MARGIN = 60.0
"""Seconds that an answered question is remembered after it is over: more than the clocks of those
who share a store may differ."""

_TIME = struct.Struct(">Q")
"""When it is over, in milliseconds since the epoch."""

_CHANCE, _MARK = 16, 32
_WHAT = b"tokenward: a question about a key\0"


class Over(InvalidToken):
    """The question was ours, and its time is over."""


class Answer(NamedTuple):
    """A question answered with a signature that fits, and perhaps not for the first time."""

    key: PublicKey
    place: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenges:
    """Asks, and reads what is answered, for all issuers of a server."""

    issuers: Mapping[str, str]
    """The exact URL of each of our issuers, by its name."""

    seal: Seal = field(repr=False)
    shelf: Shelf = field(repr=False)
    clock: Clock

    def ask(self, key: PublicKey, *, issuer: str, client: str) -> str:
        """A question for this key, to be answered at this issuer (its name) by this client.

        ``client`` is a ``client_id``, and ``""`` for who is registered nowhere.
        """
        over = int((self.clock() + LIFETIME) * 1_000)
        head = _TIME.pack(over) + token_bytes(_CHANCE)
        mark = self.seal.mark(_marked(head, key.text, self.issuers[issuer], client))
        return encode(head + bytes.fromhex(mark))

    def read(self, token: str, *, issuer: str, client: str) -> Answer:
        """What was answered; raises ``InvalidToken``, and ``Over`` if only time is to blame.

        ``issuer`` is the name of the one at whose door it was shown, ``""`` for a door of all of
        them; ``client`` who showed it. The signature is looked at last: it costs the most, and
        nobody gets that far who was not asked.
        """
        shown = keyproof.read(token)
        urls = [self.issuers[issuer]] if issuer else self.issuers.values()
        if shown.audience not in urls:
            raise InvalidToken("aud: another server", "aud")
        over = self._over(shown.nonce, shown.name, shown.audience, client)
        key = shown.verified(now=self.clock())
        if self.clock() >= over:
            raise Over("nonce: over", "nonce")
        place = f"challenge/{sha256(shown.nonce.encode()).hexdigest()}"
        return Answer(key, place, over + MARGIN)

    async def accept(self, answer: Answer) -> bool:
        """Take an answer, this one time: of a hundred at once, one hears ``True``."""
        return await self.shelf.add(answer.place, b"", until=answer.until)

    def _over(self, nonce: str, name: str, url: str, client: str) -> float:
        """When a question of ours is over; raises ``InvalidToken`` if it is none, or another's."""
        try:
            said = decode(nonce)
        except ValueError:
            raise InvalidToken("nonce: none of ours", "nonce") from None
        head, mark = said[: _TIME.size + _CHANCE], said[_TIME.size + _CHANCE :]
        if len(mark) != _MARK or not self.seal.has_marked(
            _marked(head, name, url, client), mark.hex()
        ):
            raise InvalidToken("nonce: none of ours, or for another key, client or issuer", "nonce")
        (over,) = _TIME.unpack(head[: _TIME.size])
        return float(over / 1_000)


def _marked(head: bytes, key: str, url: str, client: str) -> bytes:
    """What the mark is of: the head has its length, and there is no NUL in a key or a URL."""
    return b"\0".join((_WHAT + head + key.encode(), url.encode(), client.encode()))
