"""Where is kept what has to be kept, and what is it sealed with? URLs and keys, at the top."""

import re
from collections.abc import Mapping

from tokenward.clock import now
from tokenward.server.config import Report
from tokenward.server.seal import Seal
from tokenward.server.stores import WrongStore, open_cache, open_store
from tokenward.server.values import Wrong, text

_PASSWORD = re.compile(r"//[^/@]*:[^/@]+@")


def store_url(value: object) -> str:
    """The URL of a store we have; nothing is opened."""
    url = text(value)
    try:
        open_store(url, now)
    except WrongStore as exc:
        raise Wrong(str(exc)) from None
    return url


def cache_url(value: object) -> str:
    """The URL of a cache we have; nothing is opened."""
    url = text(value)
    try:
        open_cache(url, now)
    except WrongStore as exc:
        raise Wrong(str(exc)) from None
    return url


def key_text(value: object) -> str:
    """One or several keys of 32 bytes as base64url."""
    try:
        Seal.from_text(text(value))
    except ValueError:
        raise Wrong(
            "must be 32 bytes in base64url: 43 letters, digits, - and _",
            "while one key takes the place of another: both, the new one first, a space between",
        ) from None
    return text(value)


def mind_passwords(document: Mapping[str, object], report: Report) -> None:
    """Warn of a password that stands in the file itself, in the URL of a database."""
    for key in ("store", "cache"):
        url = document.get(key)
        if type(url) is str and _PASSWORD.search(url):
            report.hidden[url] = "…"
            report.warn(
                (key,),
                "contains a password, and it is written into the file itself",
                'write "${PASSWORD}" in its place and put it into .env.local, or mount it',
            )
