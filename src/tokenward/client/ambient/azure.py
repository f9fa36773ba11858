"""Azure: the managed identity of App Service, Functions and Container Apps, or of a machine.

The audience is the application ID URI that stands for the token server in Entra ID. What comes back
may name the application by its id instead, so nobody here looks at whom it is meant for.
"""

import httpx2

from tokenward.client.ambient import Found, Here, NotHere, Place
from tokenward.client.ambient.questions import answered, near
from tokenward.client.errors import TokenError
from tokenward.jose.jws import InvalidToken, parse
from tokenward.remote.fetch import json_object
from tokenward.remote.flow import Flow

ENDPOINT, HEADER = "IDENTITY_ENDPOINT", "IDENTITY_HEADER"
WHICH = "AZURE_CLIENT_ID"
"""Which of several identities, by its client id; the variable of Azure's own libraries."""

HOST = "AZURE_POD_IDENTITY_AUTHORITY_HOST"
_PATH = "/metadata/identity/oauth2/token"
_TAG = "/sys/class/dmi/id/chassis_asset_tag"
_MACHINE = "7783-7084-3265-9085-8269-3286-77"
"""What every machine of Azure has for a tag, and no other machine that Hyper-V runs."""


def identity(here: Here, audience: str) -> Found | Flow[Found]:
    """An access token of the managed identity, for the audience."""
    which = {"client_id": it} if (it := here.variable(WHICH)) else {}
    endpoint, header, host = map(here.variable, (ENDPOINT, HEADER, HOST))
    asked = {"resource": audience, **which}
    if endpoint and header:
        url = httpx2.URL(near(endpoint, ENDPOINT)).copy_merge_params(asked)
        url = url.copy_set_param("api-version", "2019-08-01")
        return _ask(url, {"X-IDENTITY-HEADER": header})
    if host or here.system(_TAG) == _MACHINE:
        url = httpx2.URL(near((host or "http://169.254.169.254").rstrip("/") + _PATH, HOST))
        url = url.copy_merge_params({"api-version": "2018-02-01", **asked})
        return _ask(url, {"Metadata": "true"})
    return NotHere(
        why=f"{HEADER if endpoint else ENDPOINT} is not set, and {_TAG} is not Azure's",
        remedy="nothing, unless this is Azure: then turn on its managed identity",
    )


def _ask(url: httpx2.URL, headers: dict[str, str]) -> Flow[Found]:
    response = yield from answered(lambda: httpx2.Request("GET", url, headers=headers))
    token = json_object(response).get("access_token")
    try:
        parse(token if isinstance(token, str) else "")
    except InvalidToken:
        raise TokenError(f"{url.host} answered 200, but with no signed token (a JWT)") from None
    return str(token)


PLACE = Place(name="Azure", identity=identity, variables=(ENDPOINT, HEADER, WHICH, HOST))
