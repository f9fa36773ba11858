"""Who may connect accounts of their people, and where do browsers find us meanwhile?

There is no table of its own: the tokens with ``upstream = "connection"``, the ``redirect_uris`` of
callers and the URL of an issuer say it all.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from tokenward.remote.discovery import check_url
from tokenward.server.config import Report
from tokenward.server.connections import connectable
from tokenward.server.settings.callers import Callers
from tokenward.server.settings.issuers import MAIN, Issuers, IssuerSettings

# What stands in a path as it is (RFC 3986 §2.3).
_IN_A_PATH = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*")
# RFC 3986 §3, without a fragment (RFC 6749 §3.1.2) and without what is read in two ways.
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*:[A-Za-z0-9\-._~:/?@!$&'()*+,;=%\[\]]+")


def check_connecting(
    upstreams: Mapping[str, object], callers: Callers, issuers: Issuers, report: Report
) -> None:
    """See that people can connect accounts and find back, if there is a token for that.

    ``upstreams`` are those of all tokens, by their names.
    """
    declared: dict[str, tuple[str, ...]] = {
        name: one.metadata.redirect_uris for name, one in callers.clients.items()
    }
    declared |= {name: one.redirect_uris for name, one in callers.subjects.items()}
    found = sorted(name for name, it in upstreams.items() if connectable(it))
    if not found:
        return
    for name in found:
        if not _IN_A_PATH.fullmatch(name):
            report.error(
                ("tokens", name),
                "must have a name of letters, digits, dots, dashes and underscores: it stands in "
                "the address that people come back to",
            )
    for name, addresses in declared.items():
        for position, address in enumerate(addresses):
            if fault := fault_of(address):
                report.error(("callers", name, "redirect_uris", position), fault)
    if not any(declared.values()):
        report.error(
            ("tokens", found[0]),
            "is of accounts that people connect, and no caller says where they go back to",
            'redirect_uris = ["https://app.example.com/connected"] in the table of the caller',
        )
    if not issuers.declared:
        report.error(
            ("tokens", found[0]),
            "is of accounts that people connect, and browsers have to find us",
            'at the top of the file: issuer = "https://tokens.example.com"',
        )


def fault_of(address: str) -> str:
    """Why browsers cannot be sent back there, or ``""`` (RFC 6749 §3.1.2, RFC 8252 §7)."""
    if "#" in address or not _ADDRESS.fullmatch(address):
        return "must be an absolute address without a fragment"
    scheme = address.partition(":")[0]
    if scheme in ("https", "http"):
        try:
            check_url(address)
        except ValueError as exc:
            return str(exc)
        return ""
    # RFC 8252 §7.1: an app's own, which has the name of somebody's domain in it.
    own = "." in scheme
    return "" if own else "must be https, or a scheme of an app's own such as com.example.app"


def origin_of(issuers: Mapping[str, IssuerSettings]) -> str:
    """Where browsers reach us: the main issuer's origin, or that of whichever comes first."""
    issuer = issuers.get(MAIN) or next(iter(issuers.values()), None)
    if issuer is None:
        return ""
    parts = urlsplit(issuer.url)
    return f"{parts.scheme}://{parts.netloc}"
