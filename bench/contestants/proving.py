"""The product, with everybody who can show who they are."""

from functools import partial

from bench.contestants import Contestant, Conversation
from bench.proving import (
    API_KEY,
    ASKED,
    ASSERTED,
    BASIC,
    BY,
    CERTIFICATE,
    GET_TOKEN,
    HUB,
    KINDS,
    OPAQUE,
    POST,
    SECRET_JWT,
    SIGNERS,
    STRANGER,
    TLS,
    Proofs,
)


def proving(name: str, proofs: Proofs) -> Contestant:
    """The product, with everybody who can show who they are."""
    ours = proofs.ours
    ours.program.name = name
    again: tuple[str, ...] = (GET_TOKEN, OPAQUE, API_KEY, ASKED, BASIC, POST)
    anew: dict[str, Conversation] = {
        STRANGER: proofs.stranger,
        **{f"{BY}{kind}": partial(proofs.answered, kind) for kind in KINDS},
        **{f"{ASSERTED}{alg}": partial(proofs.asserted, alg) for alg in SIGNERS},
        SECRET_JWT: proofs.shared_secret,
        HUB: proofs.at_the_hub,
    }
    if proofs.proxied:
        again, anew = (CERTIFICATE, TLS), {}
    return Contestant(
        name=name,
        port=ours.port,
        program=ours.program,
        asked={it: partial(proofs.asking, it) for it in again},
        conversations=anew,
        before=proofs.prepare,
        after=ours.stop_neighbours,
    )
