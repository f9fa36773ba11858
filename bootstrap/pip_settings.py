"""Where packages come from: what pip has been told, said again in uv's words.

uv does not read pip's configuration and trusts certificates of its own; whoever has set up pip for
their network has said all that there is to say, and should not have to say it twice.

Law: what somebody told uv itself is never overruled.
"""

import configparser
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

SECTIONS = ("global", "install")
"""The sections that count for `pip install`; the later one wins."""

SAME = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
}
"""Pip's options that mean the same to uv under another name, and lists that both part by spaces."""


def files(environ: Mapping[str, str], prefix: str = sys.prefix) -> list[Path]:
    """Pip's configuration files, the one that counts most last."""
    chosen = environ.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = Path(environ.get("HOME") or Path.home())
    shared = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    own = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    folders = [Path(folder) / "pip" for folder in shared]
    if sys.platform == "darwin":
        support = "Library/Application Support/pip"
        folders += [Path("/") / support, home / support]
    folders += [Path("/etc"), home / ".pip", own / "pip", Path(prefix)]
    found = [folder / "pip.conf" for folder in folders]
    return [*found, Path(chosen)] if chosen else found


def told(environ: Mapping[str, str], paths: Iterable[Path]) -> dict[str, str]:
    """What pip has been told, by option (`index-url`, `cert`, …): its files, then its variables."""
    found: dict[str, str] = {}
    parsers = [_read(path) for path in paths]
    for section in SECTIONS:
        for parser in parsers:
            if parser.has_section(section):
                found.update(parser.items(section))
    for name, value in environ.items():
        if name.startswith("PIP_"):
            found[name[4:].lower()] = value
    return {
        option.replace("_", "-"): value.strip() for option, value in found.items() if value.strip()
    }


def for_uv(environ: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
    """The environment in which uv asks where pip would ask, and trusts whom pip would trust."""
    said = {
        "UV_SYSTEM_CERTS": "1",
        "UV_NATIVE_TLS": "1",  # the same, to older ones
        "UV_LINK_MODE": "copy",  # a cache on another disk is nothing to warn about
    }
    for option, name in SAME.items():
        if option in options:
            said[name] = " ".join(options[option].split())
    if "UV_INDEX" in said:
        # pip takes the best of all its indexes. Every hash is pinned, so it matters not who serves.
        said["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    places = [place for place in options.get("find-links", "").split() if _is_there(place)]
    if places:
        said["UV_FIND_LINKS"] = ",".join(places)
    if "proxy" in options:
        proxy = options["proxy"]
        said["HTTPS_PROXY"] = said["HTTP_PROXY"] = proxy if "://" in proxy else f"http://{proxy}"
    if "UV_INDEX_URL" in environ:
        said.pop("UV_DEFAULT_INDEX", None)
    # The interpreter is the one that we were started with, or none.
    return {**said, **environ, "UV_PYTHON_DOWNLOADS": "never"}


def flags_for_uv(options: Mapping[str, str]) -> list[str]:
    """What can be said to uv only on its command line."""
    return ["--no-index"] if options.get("no-index", "").lower() in {"1", "true", "yes"} else []


def _read(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return configparser.RawConfigParser()  # pip says so itself, and better
    return parser


def _is_there(place: str) -> bool:
    """Whether pip would look there: it passes over folders that do not exist, where uv gives up."""
    return "://" in place or Path(place).exists()
