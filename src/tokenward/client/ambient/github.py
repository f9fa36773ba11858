"""GitHub Actions: a job with ``permissions: id-token: write`` may ask for tokens about itself.

Forgejo and Gitea have the same two variables.
"""

import httpx2

from tokenward.client.ambient import Found, Here, NotHere, Place
from tokenward.client.ambient.questions import answered, meant_for
from tokenward.client.credentials import InsecureURL, secure
from tokenward.client.errors import TokenError
from tokenward.remote.fetch import json_object
from tokenward.remote.flow import Flow

URL = "ACTIONS_ID_TOKEN_REQUEST_URL"
TOKEN = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"


def identity(here: Here, audience: str) -> Found | Flow[Found]:
    """A token about the job, for the audience."""
    url, bearer = here.variable(URL), here.variable(TOKEN)
    if not url or not bearer:
        remedy = "give the job `permissions: id-token: write`"
        if here.variable("GITHUB_ACTIONS"):
            remedy += "; jobs of pull requests from forks cannot have it"
        return NotHere(why=f"{URL if not url else TOKEN} is not set", remedy=remedy)
    try:
        secure(url)
    except InsecureURL as exc:
        raise TokenError(f"{URL}: {exc}") from None
    return _ask(httpx2.URL(url), bearer, audience)


def _ask(url: httpx2.URL, bearer: str, audience: str) -> Flow[Found]:
    asked = url.copy_set_param("audience", audience)
    headers = {"Authorization": f"Bearer {bearer}", "Accept": "application/json"}
    response = yield from answered(lambda: httpx2.Request("GET", asked, headers=headers))
    token = json_object(response).get("value")
    if not isinstance(token, str):
        raise TokenError(f"{url.host} answered 200, but with no token")
    found = meant_for(audience, token, url.host)
    if isinstance(found, NotHere):
        raise TokenError(found.why)
    return found


PLACE = Place(name="GitHub Actions", identity=identity, variables=(URL, TOKEN), deadline=10.0)
