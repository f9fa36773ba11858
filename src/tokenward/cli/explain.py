"""``tokenward explain``: which rule would answer, and what; nothing is issued."""

import json as json_
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tokenward.cli.check import settings_or_exit
from tokenward.cli.options import Config, Json, callers, tokens
from tokenward.cli.saying import FAINT, GREEN, RED, USAGE, fail, from_stdin, painted, say, say_json
from tokenward.oauth.errors import OAuthError
from tokenward.oauth.messages import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from tokenward.oauth.scope import Scope

if TYPE_CHECKING:
    from tokenward.server.model import Authorization, Caller, Client, Grant
    from tokenward.server.policy import Policy, Verdict
    from tokenward.server.settings import Settings

EXAMPLES = """
tokenward explain nightly --token reports --scope reports:write
tokenward explain mobile --claims '{"permissions": ["models:read"]}'
tokenward explain mobile --claims - < token-of-somebody-who-was-refused

# the rules of tokenward dev, while it runs or later
tokenward explain demo --token reports --config .tokenward/tokenward.toml
"""


def explain(
    caller: Annotated[
        str,
        typer.Argument(
            metavar="CALLER", help="Who asks: a name under [callers].", autocompletion=callers
        ),
    ],
    token: Annotated[
        str,
        typer.Option(
            "--token",
            "-t",
            metavar="NAME",
            help="The token asked for; by its name or its audience.",
            autocompletion=tokens,
        ),
    ] = "",
    scope: Annotated[
        str, typer.Option("--scope", "-s", metavar="SCOPE", help="The scope asked for.")
    ] = "",
    claims: Annotated[
        str,
        typer.Option(
            metavar="JSON",
            help="The caller's claims as a JSON object; '-' reads them from standard input, "
            "where they may also be a token that has them. Nothing is verified.",
        ),
    ] = "{}",
    client: Annotated[
        str, typer.Option(metavar="NAME", help="The client they ask with, if any.")
    ] = "",
    actor: Annotated[
        str, typer.Option(metavar="NAME", help="The caller who acts for them, if any.")
    ] = "",
    grant_type: Annotated[
        str,
        typer.Option(metavar="TYPE", help="How: client_credentials, token_exchange or jwt_bearer."),
    ] = "",
    issuer: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="At whose endpoint: a name under [issuers]; any if not said."
        ),
    ] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Say what every rule says to such a request, and which one decides.

    The server asks the same rules with the same question; only that nobody has to prove anything
    here. Ends with 1 if the request would be refused.
    """
    from tokenward.server.app import policy  # noqa: PLC0415

    asked = _Asked(
        settings=settings_or_exit(config, json=json),
        caller=caller,
        client=client,
        actor=actor,
        issuer=issuer,
        json=json,
    )
    grant = asked.grant(grant_type, token, scope, claims)
    rules = policy(asked.settings)
    refused, agreed = "", None
    try:
        agreed = rules.decide(grant)
    except OAuthError as exc:
        refused = f"{exc.error}: {exc.detail or exc.description}"
    verdicts = _verdicts(rules, grant)
    if json:
        say_json(_told(verdicts, agreed, refused))
    else:
        _show(verdicts, agreed, refused)
    if agreed is None:
        raise typer.Exit(1)


def _verdicts(rules: "Policy", grant: "Grant") -> list["Verdict"]:
    try:
        return rules.explain(grant)
    except OAuthError:  # there is no such token, and no rule has anything to say about it
        return []


def _told(
    verdicts: list["Verdict"], agreed: "Authorization | None", refused: str
) -> dict[str, Any]:
    rules = [{"rule": it.rule.name, "holds": it.holds, "says": it.reason} for it in verdicts]
    if agreed is None:
        return {"allowed": False, "refusal": refused, "rules": rules}
    answer = {"rule": agreed.rule, "token": agreed.token, "scope": str(agreed.scope)}
    return {"allowed": True, **answer, "rules": rules}


def _show(verdicts: list["Verdict"], agreed: "Authorization | None", refused: str) -> None:
    decided = agreed.rule if agreed else ""
    width = max((len(it.rule.name) for it in verdicts), default=0)
    for verdict in verdicts:
        name = f"{verdict.rule.name:<{width}}"
        if verdict.rule.name == decided:
            say(f"=> {painted(name, GREEN)}  decides")
        else:
            say(f"   {name}  {painted(verdict.reason, FAINT)}")
    if agreed:
        say(f"allowed: the token {agreed.token}, scope: {agreed.scope or 'none'}", GREEN)
    else:
        say(f"refused: {refused}", RED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What was asked about, before it is known whether there is such a thing."""

    settings: "Settings"
    caller: str
    client: str
    actor: str
    issuer: str
    json: bool

    def grant(self, grant_type: str, token: str, scope: str, claims: str) -> "Grant":
        """The grant that such a request would be."""
        from tokenward.server.model import NOBODY, NOBODY_ELSE, Grant  # noqa: PLC0415
        from tokenward.server.settings.clients import GRANT_TYPES  # noqa: PLC0415

        by_itself = self._client(self.caller)
        client = self._known_client(self.client) if self.client else by_itself or NOBODY
        if by_itself and claims != "{}":
            fail(
                f"{self.caller} is a client, and nobody says anything of it in claims",
                "--claims goes with a caller who vouches for people.",
                code=USAGE,
                in_json=self.json,
            )
        caller = by_itself.as_caller() if by_itself else self._subject(self.caller, claims)
        usual = CLIENT_CREDENTIALS if by_itself else TOKEN_EXCHANGE
        if self.issuer and self.issuer not in self.settings.issuers:
            self._unknown("issuer", self.issuer, self.settings.issuers)
        if grant_type and grant_type not in (*GRANT_TYPES, *GRANT_TYPES.values()):
            self._unknown("grant type", grant_type, GRANT_TYPES)
        return Grant(
            caller=caller,
            client=client,
            grant_type=GRANT_TYPES.get(grant_type, grant_type) or usual,
            issuer=self.issuer,
            targets=(token,) if token else (),
            scope=self._scope(scope),
            actor=self._subject(self.actor, "{}") if self.actor else NOBODY_ELSE,
        )

    def _clients(self) -> list["Client"]:
        return [it.client for it in self.settings.clients.values()]

    def _client(self, name: str) -> "Client | None":
        return next((it for it in self._clients() if name in (it.name, it.id)), None)

    def _known_client(self, name: str) -> "Client":
        return self._client(name) or self._unknown(
            "client", name, [it.name for it in self._clients()]
        )

    def _subject(self, name: str, claims: str) -> "Caller":
        from tokenward.server.model import Caller  # noqa: PLC0415

        if name not in self.settings.subjects:
            names = [it.name for it in self._clients()]
            self._unknown("caller", name, [*self.settings.subjects, *names])
        default = self.settings.subjects[name].default
        said = self._claims(claims)
        return Caller(name=name, subject=f"{name}|somebody", claims=said, default=default)

    def _claims(self, text: str) -> dict[str, object]:
        from tokenward.jose import jws  # noqa: PLC0415

        if text == "-":
            text = from_stdin("The claims, or a token that has them")
            bare = text.split()[-1] if text.split() else ""
            try:
                return dict(jws.load_object(jws.parse(bare).payload))
            except (jws.InvalidToken, ValueError):
                pass  # then it is JSON, or nothing
        try:
            said = json_.loads(text)
        except (ValueError, RecursionError):
            fail(
                "--claims is not JSON",
                """It is written like this: --claims '{"permissions": ["models:read"]}'""",
                code=USAGE,
                in_json=self.json,
            )
        if not isinstance(said, dict):
            fail("--claims is not a JSON object", code=USAGE, in_json=self.json)
        return said

    def _scope(self, text: str) -> Scope:
        try:
            return Scope.parse(text)
        except OAuthError as exc:
            fail(f"--scope: {exc.description}", code=USAGE, in_json=self.json)

    def _unknown(self, kind: str, name: str, known: Iterable[str]) -> NoReturn:
        there_are = f"There are: {', '.join(known) or 'none'}"
        fail(f"there is no {kind} {name!r}", there_are, code=USAGE, in_json=self.json)
