"""AWS: STS signs who the role is (GetWebIdentityToken), for accounts that have turned it on.

In EKS a projected token of the pod (``kubernetes``) does the same without AWS.
"""

import re
from urllib.parse import urlencode

import httpx2

from tokenward.client.ambient import Found, Here, NotHere, Place
from tokenward.client.ambient.aws_keys import (
    FULL,
    KEY,
    MACHINE,
    PASS,
    PASS_FILE,
    RELATIVE,
    SECRET,
    SESSION,
    from_container,
    from_environment,
    from_machine,
)
from tokenward.client.ambient.questions import meant_for
from tokenward.client.ambient.sigv4 import Keys, sign
from tokenward.client.credentials import InsecureURL, secure
from tokenward.client.errors import TokenError
from tokenward.remote.fetch import RemoteError, json_object
from tokenward.remote.flow import Flow

REGION, DEFAULT_REGION = "AWS_REGION", "AWS_DEFAULT_REGION"
STS = "AWS_ENDPOINT_URL_STS"
LIFETIME = 300
"""Seconds; it is shown once, at once."""

_REGION = re.compile(r"[a-z]{2}(-[a-z0-9]+){2,4}")
_TOKEN = re.compile(rb"<WebIdentityToken>\s*([A-Za-z0-9_.-]+)\s*</WebIdentityToken>")
_CODE = re.compile(rb"<Code>([A-Za-z.]{1,80})</Code>")


def identity(here: Here, audience: str) -> Found | Flow[Found]:
    """A token about the role that this program has, for the audience."""
    region = here.variable(REGION) or here.variable(DEFAULT_REGION)
    if keys := from_environment(here):
        return _ask(here, keys, region, audience)
    if container := from_container(here):
        return _by_container(here, container, region, audience)
    if machine := from_machine(here):
        return _by_machine(here, machine, region, audience)
    return NotHere(
        why=f"neither {KEY} nor {RELATIVE} nor {FULL} is set, and this is no machine of EC2",
        remedy="nothing, unless this is AWS: then give it a role that may GetWebIdentityToken",
    )


def _by_container(here: Here, keys: Flow[Keys], region: str, audience: str) -> Flow[Found]:
    return (yield from _ask(here, (yield from keys), region, audience))


def _by_machine(
    here: Here, machine: Flow[tuple[Keys, str]], region: str, audience: str
) -> Flow[Found]:
    keys, its_region = yield from machine
    return (yield from _ask(here, keys, region or its_region, audience))


def _ask(here: Here, keys: Keys, region: str, audience: str) -> Flow[Found]:
    url, form = _endpoint(here, region), _form(audience)
    request = httpx2.Request("POST", url, headers=_HEADERS, content=urlencode(form).encode())
    sign(request, keys, region=region, service="sts", now=here.clock())
    response = yield request
    if response.status_code != 200:  # noqa: PLR2004
        raise _refused(response)
    token = _TOKEN.search(response.content)
    if not token:
        raise TokenError(f"{request.url.host} answered 200, but with no token")
    found = meant_for(audience, token[1].decode(), request.url.host)
    if isinstance(found, NotHere):
        raise TokenError(found.why)
    return found


_HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/xml"}


def _form(audience: str) -> dict[str, str]:
    return {
        "Action": "GetWebIdentityToken",
        "Version": "2011-06-15",
        "Audience.member.1": audience,
        "DurationSeconds": str(LIFETIME),
        "SigningAlgorithm": "RS256",
    }


def _endpoint(here: Here, region: str) -> str:
    """Where STS is; it answers this question in regions only, and not for the whole world."""
    if not _REGION.fullmatch(region):
        raise TokenError(f"{REGION} is not set, or names no region of AWS")
    if url := here.variable(STS):
        try:
            secure(url)
        except InsecureURL as exc:
            raise TokenError(f"{STS}: {exc}") from None
        return url.rstrip("/") + "/"
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def _refused(response: httpx2.Response) -> RemoteError:
    """What STS says, by its code: whether to turn something on, or to ask again."""
    try:
        json_object(response)
    except RemoteError as fault:
        code = _CODE.search(response.content)
        if code:
            fault.reason += f" ({code[1].decode()})"
        return fault
    raise AssertionError("unreachable")  # pragma: no cover


PLACE = Place(
    name="AWS",
    identity=identity,
    variables=(
        *(KEY, SECRET, SESSION, RELATIVE, FULL, PASS, PASS_FILE, MACHINE),
        *(REGION, DEFAULT_REGION, STS),
    ),
    deadline=8.0,
)
