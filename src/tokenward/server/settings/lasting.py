"""What has to outlive the process, and what must be in one place alone."""

from collections.abc import Mapping

from tokenward.server.config import Report
from tokenward.server.settings.issuers import Issuers
from tokenward.server.settings.tokens import TokenSettings

_LASTS = 'store = "sqlite:///var/lib/tokenward.db"'


def mind_forgetting(
    store: str, issuers: Issuers, tokens: Mapping[str, TokenSettings], report: Report
) -> None:
    """Warn of what is lost whenever the server stops, if all it keeps is in memory."""
    if store != "memory:":
        return
    if issuers.read:
        report.warn(
            ("store",),
            "memory: forgets the signing keys whenever the server stops, and with them "
            "every token it has minted",
            _LASTS,
        )
    for name in _by_refresh_token(tokens):
        report.warn(
            ("tokens", name, "refresh_token"),
            "what the platform gives in its place is forgotten whenever the server stops: "
            "then this one may be spent",
            _LASTS,
        )


def mind_refresh_tokens(tokens: Mapping[str, TokenSettings], report: Report) -> None:
    """Report one that two tables begin with: each would spend it, and the platform end both (RFC
    9700 §4.14.2)."""
    seen: dict[str, str] = {}
    for name, said in _by_refresh_token(tokens).items():
        if (other := seen.setdefault(said, name)) != name:
            report.error(
                ("tokens", name, "refresh_token"),
                f"is that of tokens.{other} too: platforms take a second use for theft",
                "let both be one token, with the scopes of both",
            )


def _by_refresh_token(tokens: Mapping[str, TokenSettings]) -> dict[str, str]:
    found = {name: getattr(it.upstream, "refresh_token", "") for name, it in tokens.items()}
    return {name: said for name, said in found.items() if isinstance(said, str) and said}
