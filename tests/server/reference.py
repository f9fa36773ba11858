"""Writes the tables of docs/reference/configuration.md from the dataclasses they describe.

    python -m tests.server.reference        puts them into the page

Each table stands between ``<!-- settings: … -->`` and ``<!-- end -->``.
"""

import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tokenward.jose.keys import KeySet
from tokenward.oauth.scope import Scope
from tokenward.server import plugins
from tokenward.server.config import documentation, settings_of
from tokenward.server.platforms import PLATFORMS
from tokenward.server.registration import Registration
from tokenward.server.settings.clients import ClientTable, Metadata
from tokenward.server.settings.issuers import IssuerTable
from tokenward.server.settings.limits import LimitsTable
from tokenward.server.settings.listen import ListenTable
from tokenward.server.settings.log import LogSettings
from tokenward.server.settings.metrics import MetricsSettings
from tokenward.server.settings.otel import OtelSettings
from tokenward.server.settings.proxy import ProxyTable
from tokenward.server.settings.rules import RuleTable
from tokenward.server.settings.signers import KeysTable
from tokenward.server.settings.subjects import SubjectTable
from tokenward.server.settings.textile import TextileSettings
from tokenward.server.settings.tokens import TokenTable
from tokenward.server.settings.whole import AuditSettings, Sections, ServerTable
from tokenward.server.values import Within

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"

SETTINGS: Mapping[str, tuple[type, ...]] = {
    "top": (ServerTable, Sections),
    "listen": (ListenTable,),
    "audit": (AuditSettings,),
    "proxy": (ProxyTable,),
    "metrics": (MetricsSettings,),
    "otel": (OtelSettings,),
    "log": (LogSettings,),
    "limits": (LimitsTable,),
    "textile": (TextileSettings,),
    "issuers": (IssuerTable,),
    "hub": (plugins.find("profile", "hub"),),
    "keys": (KeysTable,),
    "pkcs11": (plugins.find("signer", "pkcs11"),),
    "clients": (ClientTable,),
    "client_secret": (plugins.find("proof", "client_secret"),),
    "private_key_jwt": (plugins.find("proof", "private_key_jwt"),),
    "client_secret_jwt": (plugins.find("proof", "client_secret_jwt"),),
    "tls_client_auth": (plugins.find("proof", "tls_client_auth"),),
    "self_signed_tls_client_auth": (plugins.find("proof", "self_signed_tls_client_auth"),),
    "metadata": (Metadata,),
    "subjects": (SubjectTable,),
    "jwt": (plugins.find("proof", "jwt"),),
    "github_actions": (plugins.find("preset", "github_actions"),),
    "gitlab_ci": (plugins.find("preset", "gitlab_ci"),),
    "kubernetes": (plugins.find("preset", "kubernetes"),),
    "spiffe": (plugins.find("preset", "spiffe"),),
    "azure": (plugins.find("preset", "azure"),),
    "aws": (plugins.find("preset", "aws"),),
    "introspection": (plugins.find("proof", "introspection"),),
    "api_key": (plugins.find("proof", "api_key"),),
    "certificate": (plugins.find("proof", "certificate"),),
    "key": (plugins.find("proof", "key"),),
    "hub_key": (plugins.find("proof", "hub_key"),),
    "tokens": (TokenTable,),
    "registration": (Registration,),
    **{name: (plugins.find("upstream", name),) for name in plugins.BUILT_IN["upstream"]},
    **{name: (cls,) for name, cls in PLATFORMS.items() if settings_of(cls)},
    "allow": (RuleTable,),
}

# Of plug-ins whose source leaves them to their names.
_KINDS: Mapping[Any, str] = {
    str: "text",
    bool: "true, false",
    int: "number",
    float: "period",
    Scope: "scopes",
    KeySet: "keys",
}
_READ_AS = {
    "cache_url": "URL",
    "store_url": "URL",
    "host_and_port": "address",
    "key_text": "text",
    "known": "text",
    "share": "number",
    "rule_tables": "tables",
    "tables": "tables",
    "listen_table": "table, address",
    "audit_table": "table, `behind`",
    "browser_origins": "list",
    "grant_type_names": "list",
    "known_secrets": "list",
    "patterns": "table",
    "public_keys": "keys",
    "vocabulary": "table, list",
    "rotation": "1h to 3650d, `never`",
    "rate": "rate, `off`",
}
_BLOCK = re.compile(r"(<!-- settings: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def kind(annotation: Any) -> str:
    """What is to be written, in a word or two."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _KINDS:
        return _KINDS[annotation]
    if origin is Annotated:
        how = arguments[1]
        return f"{how.least} to {how.most}" if isinstance(how, Within) else _READ_AS[how.__name__]
    if origin in (Union, UnionType):
        return next(kind(one) for one in arguments if one is not NoneType)
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in arguments)
    return "list" if origin in (tuple, frozenset) else "table"


def period(seconds: float) -> str:
    """As it is written in the file."""
    for unit, size in ("d", 86_400), ("h", 3_600), ("m", 60):
        if seconds and seconds % size == 0:
            return f"`{seconds / size:g}{unit}`"
    return f"`{seconds:g}s`"


def default(value: object) -> str:
    """What counts if nothing is said."""
    match value:
        case float():
            return "" if math.isinf(value) else period(value)
        case str() if value:
            return f"`{value}`"
        case frozenset() if value:
            return ", ".join(f"`{one}`" for one in sorted(value))
    return ""


def own(cls: type) -> set[str]:
    """The keys that a class says something about itself, and not only those it is made from."""
    return {name.removesuffix("_") for name in inspect.get_annotations(cls)}


def rows(name: str) -> list[str]:
    """The table of these settings; raises ``LookupError`` for one that nobody has explained."""
    made = ["| Key | | Unless said | |", "|---|---|---|---|"]
    for cls in SETTINGS[name]:
        hints = get_type_hints(cls, include_extras=True)
        bases = (base for base in cls.__bases__ if base in (Metadata, Registration))
        inherited = {key for base in bases for key in settings_of(base)} - own(cls)
        for one in fields(cls):
            key = one.name.removesuffix("_")
            if key in settings_of(cls) and key not in inherited:
                said = documentation(cls)[key]
                needed = one.default is MISSING and one.default_factory is MISSING
                cells = (
                    f"`{key}`",
                    kind(hints[one.name]),
                    "**needed**" if needed else default(one.default),
                    said.replace("``", "`"),
                )
                made.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return made


def written(page: str) -> str:
    """The page with its tables as they should be."""
    return _BLOCK.sub(lambda block: block[1] + "\n".join(rows(block[2])) + "\n" + block[3], page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
