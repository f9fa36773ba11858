"""What dev mode shows to be pasted: each recipe is a whole, and works as it stands."""

from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

from tokenward.practice.config import HUB_KEY, HUB_MISSING, REAL, SERVICE
from tokenward.practice.folder import CONFIG, FOR_SHELLS, Kept
from tokenward.practice.process import Places
from tokenward.server.pages import Place, Recipe

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs, and what there is to know about it."""

    issuer: str
    folder: Path
    places: Places
    kept: Kept
    caller_token: str = field(repr=False)

    @property
    def urls(self) -> dict[str, str]:
        """Everything that has an address."""
        us = self.issuer
        return {
            "token": f"{us}/token",
            "getToken": f"{us}/getToken",
            "metadata": f"{us}/.well-known/oauth-authorization-server",
            "jwks": f"{us}/.well-known/jwks.json",
            "introspection": f"{us}/introspect",
            "revocation": f"{us}/revoke",
            "challenge": f"{us}/challenge",
            "ims": f"{us}/ims",
            "okta": f"{us}/oauth2/orders",
            **({} if HUB_MISSING else {"hub": f"{us}/hub"}),
            "ready": f"{us}/readyz",
            "idp": self.places.idp,
            "itwin": self.places.itwin,
            "api": f"{self.places.api}/reports",
        }

    @property
    def program(self) -> str:
        """How the commands are called: here is a checkout, or it is installed."""
        return "./tokenward" if Path("tokenward").is_file() else "tokenward"

    def to_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "issuer": self.issuer,
            "client_id": "demo",
            "client_secret": self.kept.client_secret,
            "caller_token": self.caller_token,
            "urls": self.urls,
        }

    def for_shells(self) -> dict[str, str]:
        """For shells: the recipes of the documents are written with these variables.

        The first three are also what the client library and ``tokenward token`` look for.
        """
        return {
            "TOKENWARD_ISSUER": self.issuer,
            "TOKENWARD_CLIENT_ID": "demo",
            "TOKENWARD_CLIENT_SECRET": self.kept.client_secret,
            "DEV_CALLER_TOKEN": self.caller_token,
            "DEV_API": f"{self.places.api}/reports",
            "DEV_API_SECRET": self.kept.reports_api_secret,
            "DEV_IMS": self.urls["ims"],
            "DEV_OKTA": self.urls["okta"],
            **self._hub(),
            "DEV_IDP": self.places.idp,
            "DEV_ITWIN": self.places.itwin,
            "DEV_ITWIN_CLIENT_ID": SERVICE,
            "DEV_ITWIN_CLIENT_SECRET": self.kept.itwin_secret,
        }

    def _hub(self) -> dict[str, str]:
        """Without a Hub nothing names one: Textile's clients would fail unclearly."""
        if HUB_MISSING:
            return {}
        return {
            "DEV_HUB": self.urls["hub"],
            "DEV_HUB_KEY": HUB_KEY,
            "DEV_HUB_SECRET": self.kept.hub_secret,
        }

    def recipes(self) -> list[Recipe]:
        """The first four."""
        return [
            Recipe(
                title="A token of ours",
                why="A registered client proves who it is with its secret and gets a token that "
                "this server signs (client credentials, RFC 6749).",
                code=self._ask(),
            ),
            Recipe(
                title="Call a protected API with it",
                why="The practice API believes this server's tokens: the verifier library fetches "
                "the keys and checks every claim.",
                code=f'curl -s -H "Authorization: Bearer $({self._ask()} | {_READ})" '
                f"{self.urls['api']}",
            ),
            Recipe(
                title="The main job: a foreign token in, an upstream's token out",
                why="An app shows what its own user got at the identity provider (the inner "
                "command signs Ann in), and gets a token of the practice iTwin Platform. "
                "The secret that buys it stays here.",
                code=self._get("ann"),
            ),
            Recipe(
                title="The same with real Auth0 and iTwin values",
                why="Save this as tokenward.toml in a folder of your own, put your values in, then "
                "run there: tokenward check, and tokenward serve.",
                code=REAL.rstrip(),
                file=True,
            ),
        ]

    def more(self) -> list[Recipe]:
        """What else there is to see."""
        source = f". {quote(str(self.folder / FOR_SHELLS))}"
        us = self.program
        return [
            Recipe(
                title="Use the upstream's token where it is good for something",
                why="What getToken answers is a whole Authorization header's value.",
                code=f'curl -s -H "Authorization: $({self._get("ann")})" '
                f"{self.places.itwin}/users/me",
            ),
            Recipe(
                title="Somebody who may not",
                why="The identity provider vouches for Bob too, but no rule allows him anything. "
                "What he hears says little; the trail says which rule came nearest.",
                code=self._get("bob"),
            ),
            Recipe(
                title="The same as a standard token exchange",
                why="What any OAuth library sends (RFC 8693).",
                code=f"curl -s -d grant_type={TOKEN_EXCHANGE} -d audience=itwin "
                f"-d subject_token_type={JWT} "
                f'-d subject_token="$({self._sign_in("ann")})" {self.urls["token"]}',
            ),
            Recipe(
                title="As an iTwin service app",
                why="One process can be several authorization servers. This one speaks the dialect "
                "of Bentley's IMS; the practice platform believes it.",
                code='curl -s -H "Authorization: Bearer '
                f'$({self._ask("ims/connect/token", "itwin-platform")} | {_READ})" '
                f"{self.places.itwin}/users/me",
            ),
            Recipe(
                title="As an Okta authorization server",
                why="And this one that of an Okta custom authorization server.",
                code=self._ask("oauth2/orders/v1/token", "such_scope"),
            ),
            Recipe(
                title="Without curl",
                why="The client library and the command line find everything in the environment.",
                code=f"{source}\n{us} token | {us} inspect",
            ),
            Recipe(
                title="How many fetches were saved",
                why="One token serves a crowd. Servers write their figures every 30 seconds.",
                code=f"{us} usage -c {quote(str(self.folder / CONFIG))}",
            ),
        ]

    def listed(self) -> list[Place]:
        """Everything that runs, for the page."""
        urls, places = self.urls, self.places
        return [
            Place(name="Token endpoint", url=urls["token"], what="client credentials, exchange"),
            Place(name="getToken", url=urls["getToken"], what="exchange for those in a hurry"),
            Place(name="Metadata", url=urls["metadata"], what="where everything is", page=True),
            Place(name="Keys", url=urls["jwks"], what="to verify our tokens with", page=True),
            Place(name="Challenge", url=urls["challenge"], what="for those who are a key"),
            Place(name="Introspection", url=urls["introspection"], what="what is this token?"),
            Place(name="Revocation", url=urls["revocation"], what="believe it no longer"),
            Place(
                name="An issuer like IMS",
                url=f"{urls['ims']}/.well-known/openid-configuration",
                what="Bentley's dialect",
                page=True,
            ),
            Place(
                name="An issuer like Okta",
                url=f"{urls['okta']}/.well-known/openid-configuration",
                what="a custom authorization server",
                page=True,
            ),
            *(
                [
                    Place(name="A Textile Hub", url=urls["hub"], what="for Textile's own clients"),
                    Place(
                        name="Textile's example of a server",
                        url=f"{self.issuer}/api/token",
                        what="a private key in, a token of the hub out",
                    ),
                ]
                if "hub" in urls
                else []
            ),
            Place(name="Readiness", url=urls["ready"], what="for whoever starts us", page=True),
            Place(
                name="Practice identity provider",
                url=places.idp,
                what="in the likeness of Auth0; knows Ann and Bob",
                page=True,
            ),
            Place(
                name="Practice iTwin Platform",
                url=places.itwin,
                what="its own IMS, and users/me",
                page=True,
            ),
            Place(name="Practice API", url=urls["api"], what="wants a token of ours"),
        ]

    def _ask(self, path: str = "token", scope: str = "") -> str:
        asked = f" -d scope={scope}" if scope else ""
        return (
            f"curl -s -u demo:{self.kept.client_secret} -d grant_type=client_credentials{asked} "
            f"{self.issuer}/{path}"
        )

    def _sign_in(self, user: str) -> str:
        return f"curl -s -d user={user} {self.places.idp}practice/sign-in"

    def _get(self, user: str) -> str:
        bearer = f'"Authorization: Bearer $({self._sign_in(user)})"'
        return f"curl -s -H {bearer} {self.urls['getToken']}"


_READ = "python3 -c 'import json, sys; print(json.load(sys.stdin)[\"access_token\"])'"
