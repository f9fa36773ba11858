"""Which rules give nothing, because whoever asks by them has shown no token that could go on?

A key that was made here, an answer to our own question, a certificate: those are for us alone.
"""

from tokenward.server.config import Report
from tokenward.server.policy import Rule
from tokenward.server.settings.callers import Callers
from tokenward.server.settings.tokens import Tokens
from tokenward.server.upstreams import forwards


def mind_onward(rules: tuple[Rule, ...], callers: Callers, tokens: Tokens, report: Report) -> None:
    """A client that speaks for itself shows who it is, and nothing that says for whom."""
    onward = {name for name, it in callers.subjects.items() if getattr(it.proof, "onward", False)}
    for number, rule in enumerate(rules):
        token = tokens.read.get(rule.token)
        if token and forwards(token.upstream) and rule.caller not in onward:
            report.warn(
                ("allow", number, "caller"),
                f"shows no token of its own that could go on to the upstream of {token.name}",
                "caller = one that believes an issuer's tokens (jwt or introspection)",
            )
