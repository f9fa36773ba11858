"""AWS: the token that STS gives to a role (``GetWebIdentityToken``), for one audience.

Each account is an issuer of its own once outbound identity federation is enabled in it. The token
of a pod on EKS is one of Kubernetes, with the cluster's issuer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tokenward.server.presets import Whose, untold

CLAIM = "https://sts.amazonaws.com/"

_ACCOUNT = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """``preset = "aws"``."""

    account: str
    """The account's number: 12 digits, as a text."""

    issuer: str
    """What `aws iam get-outbound-web-identity-federation-info` says of the account:
    `https://….tokens.sts.global.api.aws`."""

    jwks_uri: ClassVar[str] = ""
    algorithms: ClassVar[frozenset[str]] = frozenset({"ES384", "RS256"})
    typ: ClassVar[frozenset[str]] = frozenset({"", "jwt"})

    def __post_init__(self) -> None:
        if not _ACCOUNT.fullmatch(self.account):
            raise ValueError("account: must be 12 digits")

    @property
    def whose(self) -> Whose:
        """A role or a user of this account, or what only its administrators can write."""
        return Whose(
            missing="must say which role: the account vouches for all that it lets ask",
            example=f'claims = {{ sub = "arn:aws:iam::{self.account}:role/orders" }}',
            said_by={
                "sub": rf"arn:aws[a-z-]*:iam::{self.account}:(role|user)/[^*].*",
                f"{CLAIM}.principal_tags.": r"[^*]+",
            },
            unsaid_by={
                f"{CLAIM}.aws_account": "is the same of the whole account",
                f"{CLAIM}.org_id": "is the same of the whole account",
                f"{CLAIM}.request_tags.": "is what whoever asks has written there",
            },
            texts=frozenset({f"{CLAIM}.aws_account"}),
        )

    def fault(self, claims: Mapping[str, object]) -> str:
        """Another account's."""
        told = claims.get(CLAIM)
        if not isinstance(told, Mapping):
            return f"{CLAIM}: missing"
        if told.get("aws_account") != self.account:
            return "aws_account: another account"
        if fault := untold(claims, "sub"):
            return fault
        if not re.fullmatch(rf"arn:aws[a-z-]*:(iam|sts)::{self.account}:.+", str(claims["sub"])):
            return "sub: no ARN of the account"
        return ""
