"""The environment of the iTwin mobile sample's token server: the same variables, the same server.

One caller (the Auth0 tenant), one token (the iTwin Platform's), one rule, ``GET /getToken``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tokenward.server.config import Problem, Report
from tokenward.server.environment import FILES, Environment
from tokenward.server.settings.lines import dotted
from tokenward.server.settings.listen import port_number
from tokenward.server.settings.whole import Settings, read
from tokenward.server.values import REPORTED, At, Filled, Wrong

PREFIX = "ITM_TOKEN_SERVER_"
REQUIRED = {
    "CLIENT_ID": "the client id of your service app, from developer.bentley.com",
    "CLIENT_SECRET": "its secret",
    "AUTH0_DOMAIN": "your Auth0 tenant, such as dev-x.us.auth0.com",
}
OPTIONAL = ("SCOPE", "AUTHORITY", "PORT", "AUDIENCE")

SCOPE = "itwinjs imodels:read users:read itwins:read"
AUDIENCE = "http://tokenserver.sample.bentley.com"
AUTHORITIES = {
    "": "https://ims.bentley.com",
    "qa-": "https://qa-ims.bentley.com",
    "dev-": "https://qa-ims.bentley.com",
}
"""By ``IMJS_URL_PREFIX``."""

_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]{1,5})?")
_PRACTICE = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")

_WRITTEN_AS: Mapping[At, str] = {
    ("listen",): "PORT",
    ("callers", "mobile"): "AUTH0_DOMAIN",
    ("allow", 0): "AUTH0_DOMAIN",
    ("callers", "mobile", "audience"): "AUDIENCE",
    ("tokens", "itwin"): "CLIENT_ID",
    ("tokens", "itwin", "issuer"): "AUTHORITY",
    ("tokens", "itwin", "client_secret"): "CLIENT_SECRET",
    ("tokens", "itwin", "scopes"): "SCOPE",
    ("tokens", "itwin", "default"): "SCOPE",
}


@dataclass(frozen=True, slots=True)
class ItmPlaces:
    """Which variable a setting came from."""

    def __call__(self, at: At) -> tuple[int, str]:
        """The variable, if there is one."""
        known = at
        while known and known not in _WRITTEN_AS:
            known = known[:-1]
        return 0, PREFIX + _WRITTEN_AS[known] if known else dotted(at)


def named(environment: Environment) -> list[str]:
    """The names of the sample's variables that are set."""
    ours = {PREFIX + name for name in (*REQUIRED, *OPTIONAL)}
    ours |= {f"{name}_FILE" for name in ours}
    return sorted(
        name
        for layer in environment.layers
        for name, value in layer.items()
        if name in ours and value
    )


def from_itm(environ: Mapping[str, str], directory: Path) -> Settings:
    """The settings that the sample's variables mean; raises ``ConfigError``."""
    environment = Environment.open(directory, environ)
    report = Report(places=ItmPlaces())
    said = {name: _said(PREFIX + name, environment, report) for name in (*REQUIRED, *OPTIONAL)}
    for name, what in REQUIRED.items():
        if said[name] == "":
            report.add(
                Problem(
                    place=PREFIX + name,
                    message=f"is not set: not in the environment, nor in {' or '.join(FILES)} in "
                    f"{environment.directory}",
                    hint=what,
                )
            )
    base = _tenant(said["AUTH0_DOMAIN"], report) if said["AUTH0_DOMAIN"] else ""
    authority = (said["AUTHORITY"] or _authority(environment, report)).removesuffix("/")
    port = _port(said["PORT"] or _said("PORT", environment, report) or "3001", report)
    secret = said["CLIENT_SECRET"] or ""
    report.hidden[secret] = f"${{{PREFIX}CLIENT_SECRET}}"
    report.warn(
        ("listen",),
        f"anybody who reaches this machine can reach port {port}, over plain http",
        "for more than trying things out, let a proxy speak https, or write tokenward.toml",
    )
    settings = read(
        {
            "listen": f"0.0.0.0:{port}",
            "callers": {
                "mobile": {
                    "proof": "jwt",
                    "issuer": f"{base}/" if base else REPORTED,
                    "jwks_uri": f"{base}/.well-known/jwks.json" if base else REPORTED,
                    "audience": said["AUDIENCE"] or AUDIENCE,
                }
            },
            "tokens": {
                "itwin": {
                    "upstream": "client_credentials",
                    "issuer": authority,
                    "client_id": said["CLIENT_ID"] or REPORTED,
                    "client_secret": Filled(secret) if secret else REPORTED,
                    "scopes": said["SCOPE"] or SCOPE,
                    "default": said["SCOPE"] or SCOPE,
                }
            },
            "allow": [
                {
                    "name": "everybody of the Auth0 tenant",
                    "caller": "mobile",
                    "token": "itwin",
                    "scope": "*",
                }
            ],
        },
        report,
    )
    return replace(settings, warnings=environment.warnings + settings.warnings)


def _said(name: str, environment: Environment, report: Report) -> str | None:
    """The variable, ``""`` if it is not set; ``None`` if it cannot be read, which is reported."""
    try:
        return (environment.find(name) or "").strip()
    except Wrong as exc:
        report.add(Problem(place=name, message=str(exc)))
        return None


def _port(written: str, report: Report) -> int:
    try:
        return port_number(written)
    except Wrong as exc:
        report.error(("listen",), str(exc))
        return 0


def _tenant(domain: str, report: Report) -> str:
    """Where the tenant is: the domain, with whatever people copy along with it taken off."""
    written = domain.lower().removesuffix("/")
    bare = written.removeprefix("https://")
    if _PRACTICE.fullmatch(written):
        return written
    if _DOMAIN.fullmatch(bare):
        return f"https://{bare}"
    report.add(
        Problem(
            place=f"{PREFIX}AUTH0_DOMAIN",
            message="is no domain",
            hint="it looks like dev-x.us.auth0.com; http:// only with localhost, for practice",
        )
    )
    return ""


def _authority(environment: Environment, report: Report) -> str:
    """Bentley's identity server, or the one for tests, as iTwin's own client chooses it."""
    prefix = _said("IMJS_URL_PREFIX", environment, report) or ""
    if prefix not in AUTHORITIES:
        report.add(
            Problem(
                place="IMJS_URL_PREFIX",
                message="names no environment of the iTwin Platform",
                hint=f"it is qa-, dev- or nothing; for another server, set {PREFIX}AUTHORITY",
            )
        )
        return AUTHORITIES[""]
    return AUTHORITIES[prefix]
