"""Google Cloud: the metadata server signs who the machine's service account is.

It is there on virtual machines, in Cloud Run, functions, App Engine and GKE.
"""

from http import HTTPStatus

import httpx2

from tokenward.client.ambient import Found, Here, NotHere, Place
from tokenward.client.ambient.questions import answered, meant_for, near
from tokenward.client.errors import TokenError
from tokenward.remote.fetch import RemoteError
from tokenward.remote.flow import Flow

HOST = "GCE_METADATA_HOST"
_SIGNS = ("K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET", "GAE_INSTANCE")
_PRODUCT = "/sys/class/dmi/id/product_name"
_PRODUCTS = frozenset({"Google", "Google Compute Engine"})
_PATH = "/computeMetadata/v1/instance/service-accounts/default/identity"
_FLAVOR = {"Metadata-Flavor": "Google"}


def identity(here: Here, audience: str) -> Found | Flow[Found]:
    """A token about the machine's service account, for the audience."""
    host = here.variable(HOST)
    if not host and not any(map(here.variable, _SIGNS)) and not _is_machine(here):
        return NotHere(
            why=f"neither {HOST} nor {', '.join(_SIGNS)} is set, and {_PRODUCT} is not Google's",
            remedy="nothing, unless this is Google Cloud: then attach a service account",
        )
    if host in ("", "metadata.google.internal"):
        host = "169.254.169.254"  # or else a name server would say who we are
    url = near(f"http://{host}{_PATH}", HOST)
    return _ask(httpx2.URL(url, params={"audience": audience, "format": "full"}), audience)


def _is_machine(here: Here) -> bool:
    return here.system(_PRODUCT) in _PRODUCTS


def _ask(url: httpx2.URL, audience: str) -> Flow[Found]:
    try:
        response = yield from answered(lambda: httpx2.Request("GET", url, headers=_FLAVOR))
    except RemoteError as fault:
        if fault.status == HTTPStatus.NOT_FOUND:
            raise TokenError("this machine has no service account; attach one to it") from None
        raise
    if response.headers.get("Metadata-Flavor") != "Google":
        raise TokenError(f"{url.host} is not Google's metadata server: Metadata-Flavor is missing")
    found = meant_for(audience, response.text.strip(), url.host)
    if isinstance(found, NotHere):
        raise TokenError(found.why)
    return found


PLACE = Place(name="Google Cloud", identity=identity, variables=(HOST, *_SIGNS))
