"""Which platform does the workload run on?  What its tokens are like, written down once.

A preset is for ``proof = "jwt"``: it knows the issuer or makes it of one setting, the algorithms,
the type, what a genuine token says, and what a rule must say, because most platforms vouch for
everybody's workloads. It makes no decision: the proof believes, the policy allows.

To add one, write a file with a frozen dataclass whose fields are its settings in
``[callers.<name>]`` beside ``preset``, and name it in ``server/plugins.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """What a rule has to say, so that it is not for everybody whom the platform vouches for.

    Claims are named as rules name them; one that ends with a dot is whatever is in that object.
    """

    missing: str
    """What a rule must say and why, as in ``must say whose … : … vouches for …``."""

    example: str
    """What would do."""

    said_by: Mapping[str, str]
    """Claims that say it, and the pattern (all of it) of what a rule may write there: a ``*`` in
    the wrong place is anybody."""

    unsaid_by: Mapping[str, str] = field(default_factory=dict)
    """Claims that seem to say it, and why they do not."""

    never: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """What a rule must not write, whatever else it says: the pattern, and why."""

    texts: frozenset[str] = frozenset()
    """Claims that look like numbers or booleans, and are strings in the platform's tokens."""


class Preset(Protocol):
    """One platform.

    One whose keys are not to be had like everybody's has ``keys`` besides: it takes a clock and
    gives ``RemoteKeys``, or ``None``.
    """

    @property
    def issuer(self) -> str:
        """The exact ``iss`` of its tokens."""
        ...

    @property
    def jwks_uri(self) -> str:
        """Where its keys are; ``""`` where its metadata says so."""
        ...

    @property
    def algorithms(self) -> frozenset[str]:
        """What it signs with."""
        ...

    @property
    def typ(self) -> frozenset[str]:
        """The ``typ`` of its tokens, in lower case; the empty string for none."""
        ...

    @property
    def whose(self) -> Whose:
        """What rules about its workloads have to say."""
        ...

    def fault(self, claims: Mapping[str, object]) -> str:
        """Why a token of this issuer is none of a workload's, or ``""``; for the operator.

        Asked once for each token, after its signature, issuer, audience and dates.
        """
        ...


def untold(claims: Mapping[str, object], *names: str) -> str:
    """The fault of a token without one of these claims, all of which are texts; or ``""``."""
    for name in names:
        value = claims.get(name)
        if not isinstance(value, str) or not value:
            return f"{name}: missing"
    return ""
