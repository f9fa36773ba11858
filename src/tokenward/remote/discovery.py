"""Where an issuer's endpoints are (OpenID Connect Discovery 1.0 §4, RFC 8414 §3).

Law of this module: the document must say it is of exactly the issuer that was asked, and it can
send us nowhere else: an endpoint on another origin counts only if the operator wrote it down.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

import httpx2

from tokenward.remote.fetch import RemoteError, json_object
from tokenward.remote.flow import Flow

_OPENID = "/.well-known/openid-configuration"
_OAUTH = "/.well-known/oauth-authorization-server"
_LONGEST = 2_000
_PORTS = {"https": 443, "http": 80}

# RFC 3986 §2: reserved and unreserved characters and "%"; everything else, "\" first of all, is
# where two parsers read two different hosts.
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """An issuer's endpoints; ``""`` where there is none we may use."""

    issuer: str
    jwks_uri: str = ""
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    introspection_endpoint: str = ""
    revocation_endpoint: str = ""
    key_challenge_endpoint: str = ""
    """Where whoever has a key is asked about it: tokenward's own."""

    says_iss: bool = False
    """Whether it says in every answer by way of a browser who it is (RFC 9207 §3)."""

    refused: Mapping[str, str] = field(default_factory=dict)
    """Endpoint to why it may not be used, in our words."""

    def need(self, name: str) -> str:
        """The endpoint of that name; raises ``RemoteError`` that says what to configure."""
        if url := str(getattr(self, name)):
            return url
        why = self.refused.get(name, f"has no {name}")
        raise RemoteError(f"the metadata of {self.issuer} {why}; configure {name} explicitly")


_ENDPOINTS = tuple(
    one.name for one in fields(Metadata) if one.name not in ("issuer", "says_iss", "refused")
)


def discover(issuer: str) -> Flow[Metadata]:
    """Ask an issuer for its metadata; raises ``RemoteError``.

    OpenID Connect's place first, then RFC 8414's two; the next one is tried only if the answer
    is 404. The issuer's URL must be https, or http on loopback.
    """
    try:
        parts = check_url(issuer)
        if "?" in issuer:  # RFC 8414 §2
            raise ValueError("must have no query")  # noqa: TRY301
    except ValueError as exc:
        raise RemoteError(f"the issuer's URL {exc}") from None
    for url in _places(issuer, parts):
        response = yield httpx2.Request("GET", url)
        if response.status_code == HTTPStatus.NOT_FOUND:
            continue
        return _read(json_object(response), issuer)
    raise RemoteError(
        f"{parts.hostname} has no metadata for this issuer (404);"
        " is the issuer's URL right? if so, configure its endpoints explicitly",
        status=404,
    )


def check_url(url: str) -> SplitResult:
    """Take apart an absolute URL that is https, or http on loopback; raises ``ValueError``.

    What the error says goes after "the URL", and repeats nothing of it.
    """
    if len(url) > _LONGEST or not _URL.fullmatch(url):
        raise ValueError("is empty, too long, or has characters no URL has")
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("has no sensible port") from None
    if parts.scheme not in _PORTS or not host or port == 0:
        raise ValueError("must start with https:// and a host")
    if "@" in parts.netloc or "%" in parts.netloc or "#" in url:
        raise ValueError("must have neither user, fragment nor escapes in its host")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must be https; http is for loopback addresses only")
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine: 127.0.0.0/8, ::1 or ``localhost``."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _places(issuer: str, parts: SplitResult) -> Iterator[str]:
    stem, path = issuer.rstrip("/"), parts.path.rstrip("/")
    yield stem + _OPENID
    # RFC 8414 §3: between the host and the path; some put it behind, like OpenID Connect.
    yield f"{parts.scheme}://{parts.netloc}{_OAUTH}{path}"
    if path:
        yield stem + _OAUTH


def _read(document: Mapping[str, object], issuer: str) -> Metadata:
    said = document.get("issuer")
    if said != issuer:  # RFC 8414 §3.3; "These values MUST be identical"
        hint = "metadata of another issuer"
        if isinstance(said, str) and said.rstrip("/") == issuer.rstrip("/"):
            hint += ": its name differs in the slash at the end, which counts"
        raise RemoteError(f"{issuer} answered the {hint}")
    found: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name in _ENDPOINTS:
        url = document.get(name)
        if url is None:
            continue
        try:
            if not isinstance(url, str) or _origin(check_url(url)) != _origin(urlsplit(issuer)):
                raise ValueError("is elsewhere than the issuer's own host")  # noqa: TRY301
        except ValueError as exc:
            refused[name] = f"has a {name} that {exc}"
        else:
            found[name] = url
    says_iss = document.get("authorization_response_iss_parameter_supported") is True
    return Metadata(issuer=issuer, says_iss=says_iss, refused=refused, **found)


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]
