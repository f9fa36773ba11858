"""Installation tokens of a GitHub App, for the permissions and repositories that were granted."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx2

from tokenward.client.credentials import secure
from tokenward.jose.registered import SigningKey, registered_key
from tokenward.oauth.errors import ScopeRequired
from tokenward.oauth.messages import AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import json_object
from tokenward.remote.flow import Flow
from tokenward.server.model import Authorization

SPEAKING = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
ONE, ALL, ALWAYS = "repository:", ["*"], {"metadata:read"}


@dataclass(frozen=True, slots=True, kw_only=True)
class GithubApp:
    """``[tokens.<name>] upstream = "github_app"``; scopes are `contents:read`, `repository:x`."""

    app: str
    """The client ID of the app."""

    installation: str
    """The number of the installation, with which the address of its settings ends."""

    private_key: str = field(repr=False)
    """A private key of the app, a PEM text as `"${NAME}"`."""

    repositories: tuple[str, ...] = ()
    """Those of every token: names without their owner's, or `*` for all; or scopes name them."""

    url: str = "https://api.github.com"
    """Where the API is; of an Enterprise Server `https://github.example.com/api/v3`."""

    _key: SigningKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        secure(self.url)
        object.__setattr__(self, "_key", registered_key(self.private_key, algorithm="RS256"))

    def check_scopes(self, scopes: Scope) -> None:
        """Raise ``ValueError`` unless all are permissions, or repositories if no others are set."""
        odd = (":", ONE) if self.repositories else ":"  # who left one out would get the others
        if not scopes or not all(":" in it[1:-1] and not it.startswith(odd) for it in scopes):
            raise ValueError('must be "contents:read" each, or "repository:x" if none are set')

    def flow(self, authorization: Authorization, *, now: float) -> Flow[AccessToken]:
        """Ask for what was granted, as the app, and read what was given."""
        allowed, names, asked = self._wanted(authorization.scope)
        app = self._key.sign({"iss": self.app, "iat": int(now) - 60, "exp": int(now) + 480})
        where = f"{self.url}/app/installations/{self.installation}/access_tokens"
        headers = {"Authorization": f"Bearer {app}", **SPEAKING}
        wanted = {"permissions": allowed} | ({} if names == ALL else {"repositories": names})
        response = yield httpx2.Request("POST", where, headers=headers, json=wanted)
        said: dict[str, Any] = json_object(response, expect=201)
        if names != ALL and {it["name"] for it in said["repositories"]} != set(names):
            raise ValueError("a token for other repositories than were asked for")
        given = {f"{name}:{level}" for name, level in said["permissions"].items()}
        scope = given - (ALWAYS - asked) | {one for one in asked if one.startswith(ONE)}
        left = datetime.fromisoformat(said["expires_at"]).timestamp() - now
        answer = {"access_token": said["token"], "expires_in": left, "scope": " ".join(scope)}
        return AccessToken.parse(answer, now=now)

    def shared_by(self, authorization: Authorization) -> frozenset[str]:
        """The scope: the token speaks of the app."""
        return self._wanted(authorization.scope)[2]

    def _wanted(self, scope: Scope) -> tuple[dict[str, str], list[str], frozenset[str]]:
        named = [one.removeprefix(ONE) for one in scope if one.startswith(ONE)]
        rest = dict(one.split(":", 1) for one in scope if not one.startswith(ONE))
        if not rest or not (named or self.repositories):
            raise ScopeRequired(detail="it names no permission, or no repository")
        return rest, named or list(self.repositories), scope.tokens
