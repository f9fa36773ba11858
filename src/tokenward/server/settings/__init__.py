"""How shall it be?

The settings of a server come from a file (``file``) or from the variables of the iTwin mobile
sample's token server (``itm``). Whichever it is, the same tables are read: ``issuers``,
``callers`` (``clients``, ``subjects``), ``tokens`` and ``rules``, and put together in ``whole``.
Each of these files begins with the tables that may be written, as dataclasses: the reference in
``docs/reference/configuration.md`` is made of them.

Law of this package: whatever is wrong is told at once, each thing once, with its place, before
anything is opened; and no secret is ever told.
"""

from collections.abc import Mapping
from pathlib import Path

from tokenward.server.config import ConfigError, Problem
from tokenward.server.environment import Environment
from tokenward.server.settings.clients import Metadata
from tokenward.server.settings.file import load
from tokenward.server.settings.issuers import IssuerSettings
from tokenward.server.settings.itm import from_itm, named
from tokenward.server.settings.listen import TLS, Listen
from tokenward.server.settings.starter import missing
from tokenward.server.settings.subjects import SubjectSettings
from tokenward.server.settings.tokens import TokenSettings
from tokenward.server.settings.whole import AuditSettings, Settings

__all__ = [
    "FILE",
    "TLS",
    "AuditSettings",
    "ConfigError",
    "IssuerSettings",
    "Listen",
    "Metadata",
    "Problem",
    "Settings",
    "SubjectSettings",
    "TokenSettings",
    "find",
    "from_itm",
    "load",
]

FILE = "tokenward.toml"


def find(directory: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that count here: the file's if there is one, else the sample's variables'.

    Raises ``ConfigError``; if there is neither, with a file to begin with.
    """
    if (directory / FILE).exists():
        return load(directory / FILE, environ)
    if named(Environment.open(directory, environ)):
        return from_itm(environ, directory)
    raise missing(directory / FILE)
