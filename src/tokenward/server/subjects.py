"""Who vouches for this token? Every issuer we trust is asked, and nobody else.

Which issuer that is is never taken from the token: a proof knows its own, and refuses the rest.
Who signs a question of ours with a key vouches for nobody but themselves, once.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from tokenward.jose import keyproof
from tokenward.jose.identity import PublicKey
from tokenward.jose.jws import Expired, InvalidToken
from tokenward.oauth.errors import InvalidGrant, TemporarilyUnavailable
from tokenward.server.challenges import Challenges, Over
from tokenward.server.model import Caller
from tokenward.server.proofs import NOT_VOUCHED_FOR, HolderProof, SubjectProof, TooOld

NO_CERTIFICATE = "nobody we trust vouches for this certificate"


class KeyProof(Protocol):
    """Those whom somebody knows by their key."""

    def owner(self, key: PublicKey) -> Caller | None:
        """Whose key this is; ``None`` if nobody's who may come."""
        ...


@dataclass(frozen=True, slots=True)
class Subjects:
    """All the subject proofs there are."""

    proofs: tuple[SubjectProof, ...]
    holders: tuple[HolderProof, ...] = ()
    """Those among them that know certificates."""

    owners: tuple[KeyProof, ...] = ()
    """Those who are known by their keys, in the order in which they are asked."""

    challenges: Challenges | None = None

    async def prove(self, token: str, *, issuer: str = "", client: str = "") -> Caller:
        """The caller this token speaks of.

        ``issuer`` is the name of the one at whose door it was shown, ``""`` for a door of all of
        them, and ``client`` the ``client_id`` of who showed it. Raises ``InvalidGrant`` if nobody
        we trust vouches for it, and ``TemporarilyUnavailable`` if somebody might but cannot be
        asked just now.
        """
        digest = sha256(token.encode()).digest()
        for proof in self.proofs:
            if (caller := proof.recall(digest)) is not None:
                return caller
        if self.challenges is not None and keyproof.is_one(token):
            return await self._owner(self.challenges, token, issuer, client)
        refusal = InvalidGrant(NOT_VOUCHED_FOR, detail="no caller has this token's issuer")
        unheard: TemporarilyUnavailable | None = None
        for proof in self.proofs:
            try:
                if caller := await proof.prove(token, digest):
                    return caller
            except TemporarilyUnavailable as exc:  # another may know without asking
                unheard = unheard or exc
            except InvalidGrant as exc:  # another caller may trust that issuer for another audience
                if not isinstance(refusal, TooOld):
                    refusal = exc
        raise unheard or refusal

    def holder(self, pem: str) -> Caller:
        """The caller whose certificate was shown when the connection began.

        Raises ``InvalidGrant`` if nobody we trust vouches for it.
        """
        refusal = InvalidGrant(NO_CERTIFICATE, detail="no caller has certificates like this")
        for proof in self.holders:
            try:
                if caller := proof.holder(pem):
                    return caller
            except InvalidGrant as exc:  # it may be good for another caller
                refusal = exc
        raise refusal

    async def _owner(self, challenges: Challenges, token: str, issuer: str, client: str) -> Caller:
        """Whose key answered a question of ours, for the first time and as one who may come."""
        try:
            answer = challenges.read(token, issuer=issuer, client=client)
        except (Expired, Over) as exc:
            raise TooOld("the token has expired", detail=f"key: {exc}") from None
        except InvalidToken as exc:
            raise InvalidGrant(NOT_VOUCHED_FOR, detail=f"key: {exc}") from None
        found = (one.owner(answer.key) for one in self.owners)
        if (caller := next(filter(None, found), None)) is None:
            raise InvalidGrant(NOT_VOUCHED_FOR, detail=f"key: nobody's here: {answer.key}")
        # Last, so that only those who may come can make us write.
        if not await challenges.accept(answer):
            raise InvalidGrant(NOT_VOUCHED_FOR, detail=f"key: answered before, by {answer.key}")
        return caller
