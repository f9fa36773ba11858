"""By whose keys we speak to AWS: those of the environment, of the container, or of the machine.

The same places in the same order as in AWS's own libraries, without their files of profiles.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

import httpx2

from tokenward.client.ambient import Here
from tokenward.client.ambient.questions import answered, near
from tokenward.client.ambient.sigv4 import Keys
from tokenward.client.credentials import InsecureURL, secure
from tokenward.client.errors import TokenError
from tokenward.remote.fetch import RemoteError, json_object
from tokenward.remote.flow import Flow

KEY, SECRET, SESSION = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"
RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
PASS, PASS_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
MACHINE = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
NO_MACHINE = "AWS_EC2_METADATA_DISABLED"
_VENDOR = "/sys/class/dmi/id/sys_vendor"
_ROLE = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)


def from_environment(here: Here) -> Keys | None:
    """The keys that a Lambda function has, or somebody has set."""
    key, secret = here.variable(KEY), here.variable(SECRET)
    if not key or not secret:
        return None
    return Keys(access_key=key, secret_key=secret, session=here.variable(SESSION))


def from_container(here: Here) -> Flow[Keys] | None:
    """The keys of the role of an ECS task, or of a pod in EKS."""
    if path := here.variable(RELATIVE):
        url = f"http://169.254.170.2{path if path.startswith('/') else f'/{path}'}"
    elif url := here.variable(FULL):
        try:
            secure(url)
        except InsecureURL:
            near(url, FULL)
    else:
        return None
    pass_ = here.variable(PASS)
    if file := here.variable(PASS_FILE):
        pass_ = here.file(file) or ""
    return _container(url, {"Authorization": pass_} if pass_ else {})


def _container(url: str, headers: Mapping[str, str]) -> Flow[Keys]:
    response = yield from answered(lambda: httpx2.Request("GET", url, headers=headers))
    return _keys(response)


def from_machine(here: Here) -> Flow[tuple[Keys, str]] | None:
    """The keys of the role of an EC2 machine, and the region it is in."""
    endpoint = here.variable(MACHINE)
    if here.variable(NO_MACHINE).lower() == "true":
        return None
    if not endpoint and here.system(_VENDOR) != "Amazon EC2":
        return None
    return _machine(near(endpoint or "http://169.254.169.254", MACHINE).rstrip("/") + "/latest")


def _machine(base: str) -> Flow[tuple[Keys, str]]:
    # Version 2 only: its first question is one that no careless proxy would pass on.
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    response = yield from answered(lambda: httpx2.Request("PUT", f"{base}/api/token", headers=ttl))
    ours = {"X-aws-ec2-metadata-token": response.text.strip()}

    def get(path: str) -> Flow[httpx2.Response]:
        return answered(lambda: httpx2.Request("GET", f"{base}/meta-data/{path}", headers=ours))

    roles = "iam/security-credentials/"
    try:
        role = (yield from get(roles)).text.strip()
    except RemoteError as fault:
        if fault.status != HTTPStatus.NOT_FOUND:
            raise
        role = ""
    if not _ROLE.fullmatch(role):
        raise TokenError("this machine has no role; attach an instance profile to it")
    keys = _keys((yield from get(roles + role)))
    region = (yield from get("placement/region")).text.strip()
    return keys, region


def _keys(response: httpx2.Response) -> Keys:
    said = json_object(response)
    key, secret, session = (said.get(name) for name in ("AccessKeyId", "SecretAccessKey", "Token"))
    if not isinstance(key, str) or not isinstance(secret, str) or not isinstance(session, str):
        raise TokenError(f"{response.request.url.host} answered 200, but with no keys")
    return Keys(access_key=key, secret_key=secret, session=session)
