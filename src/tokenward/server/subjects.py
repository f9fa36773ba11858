"""Who vouches for this token? Every issuer we trust is asked, and nobody else.

Which issuer that is is never taken from the token: a proof knows its own, and refuses the rest.
"""

from dataclasses import dataclass
from hashlib import sha256

from tokenward.oauth.errors import InvalidGrant, TemporarilyUnavailable
from tokenward.server.model import Caller
from tokenward.server.proofs import NOT_VOUCHED_FOR, HolderProof, SubjectProof, TooOld

NO_CERTIFICATE = "nobody we trust vouches for this certificate"


@dataclass(frozen=True, slots=True)
class Subjects:
    """All the subject proofs there are."""

    proofs: tuple[SubjectProof, ...]
    holders: tuple[HolderProof, ...] = ()
    """Those among them that know certificates."""

    async def prove(self, token: str) -> Caller:
        """The caller this token speaks of.

        Raises ``InvalidGrant`` if nobody we trust vouches for it, and ``TemporarilyUnavailable``
        if somebody might but cannot be asked just now.
        """
        digest = sha256(token.encode()).digest()
        for proof in self.proofs:
            if (caller := proof.recall(digest)) is not None:
                return caller
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
