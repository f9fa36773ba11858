"""``[textile]``: the routes of Textile's own examples, for those whose pages were written for them.

There are none unless this table is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from tokenward.server.config import Report, fill, spelled
from tokenward.server.model import Caller
from tokenward.server.settings.callers import Callers
from tokenward.server.settings.issuers import Issuers
from tokenward.server.settings.tokens import Tokens
from tokenward.server.upstreams import passes
from tokenward.server.values import Within, did_you_mean
from tokenward.server.websocket import MISSING, installed

MOST_WAITING = 10_000

PATHS = ("/api/foo", "/api/token", "/ws/token")
USERAUTH_PATHS = ("/api/userauth", "/api/credentials", "/ws/userauth", "/ws/login")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextileSettings:
    """``[textile]``"""

    people: str
    """The caller whose people may come: `proof = "key"`, or `proof = "hub_key"`. Rules for this
    caller say what they may have; its `origins` are the pages that may ask."""

    token: str
    """The token they get, at `/api/token` and `/ws/token`: of a hub of ours, or any other."""

    userauth: str = ""
    """The token with `upstream = "textile_userauth"`, which says what an application's server
    signs. Without it, there is no `/api/userauth`, `/api/credentials`, `/ws/userauth`, `/ws/login`.
    """

    visitors: str = ""
    """The client with `proof = "none"` that whoever asks at `/api/userauth` without a token counts
    as, in rules for this client. Unless said, they have to show one."""

    key_in_url: bool = False
    """Whether `GET /api/token?id=` is answered, with a private key in the URL, as in Textile's
    first example. Such a URL is a secret that browsers, proxies and histories keep."""

    challenge: Annotated[float, Within("1s", "5m")] = 60.0
    """How long whoever asks by WebSocket may take to sign."""

    waiting: int = 600
    """WebSockets at a time, on each of those paths in each process."""

    def __post_init__(self) -> None:
        if self.visitors and not self.userauth:
            raise ValueError("visitors: may have nothing without userauth")
        if not 0 < self.waiting <= MOST_WAITING:
            raise ValueError(f"waiting: must be between 1 and {MOST_WAITING}")

    @property
    def paths(self) -> tuple[str, ...]:
        """All that are turned on."""
        return PATHS + (USERAUTH_PATHS if self.userauth else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Textile:
    """The table, and what it means together with the others."""

    table: TextileSettings
    key: str = ""
    """The user-group key with which people of an application come; ``""`` for other people."""

    visitor: Caller | None = None
    """Who they are who show nothing."""

    visiting: frozenset[str] = frozenset()
    """The origins of the pages that these may come from."""


def read_textile(
    table: Mapping[str, object] | None,
    callers: Callers,
    tokens: Tokens,
    issuers: Issuers,
    report: Report,
) -> Textile | None:
    """What the table says; ``None`` if there is none."""
    if table is None:
        return None
    said = spelled(table, ("textile",), report, TextileSettings)
    settings = fill(TextileSettings, said, ("textile",), report)
    if settings is None:
        return None
    if not installed():
        report.error(("textile",), MISSING)
    _check_people(settings, callers, tokens, issuers, report)
    _check_tokens(settings, tokens, report)
    _check_visitors(settings, callers, report)
    if settings.key_in_url:
        report.warn(
            ("textile", "key_in_url"),
            "lets private keys be said in URLs, which browsers, proxies and histories keep",
            "leave it out: POST /api/token takes the same as JSON, and who signs keeps their key",
        )
    key = _key_of(settings, callers, tokens, report)
    visitors = callers.clients.get(settings.visitors)
    if visitors is None:
        return Textile(table=settings, key=key)
    visitor = visitors.registered.client.as_caller()
    return Textile(table=settings, key=key, visitor=visitor, visiting=visitors.origins)


def _check_people(
    settings: TextileSettings, callers: Callers, tokens: Tokens, issuers: Issuers, report: Report
) -> None:
    at, name = ("textile", "people"), settings.people
    if name not in callers.declared:
        report.error(at, "there is no such caller", did_you_mean(name, callers.declared))
        return
    if name not in callers.subjects:
        if name in callers.clients:
            report.error(at, "is a client: people have keys", 'proof = "key"')
        return
    subject = callers.subjects[name]
    proof = subject.proof
    if getattr(proof, "at_a_hub", False):
        if settings.userauth and not subject.default:
            report.warn(
                at,
                f"a hub cannot tell which of the two people of callers.{name} mean, if rules allow "
                "them both: who asks there names none",
                f'[callers.{name}] default = "{settings.token}"',
            )
        if not proof.development:
            report.warn(
                at,
                f"whoever has a key is let in here for callers.{name}, without a signature of its "
                "secret",
                'a caller with proof = "key" has rules of its own, and can name those who may',
            )
    elif not getattr(proof, "by_challenge", False):
        report.error(at, "are not known by keys", 'proof = "key", or proof = "hub_key"')
    elif proof.subject != "raw" and settings.token in tokens.read:
        issuer = tokens.read[settings.token].issuer
        if issuers.profiles.get(issuer) == "hub":
            report.warn(
                at,
                f"the tokens of a hub name people by their keys, and these are {name}|<key>",
                f'[callers.{name}] subject = "raw"',
            )


def _key_of(settings: TextileSettings, callers: Callers, tokens: Tokens, report: Report) -> str:
    """The key of the application whose people come: the one in the file, or that which signs."""
    subject = callers.subjects.get(settings.people)
    if subject is None or not getattr(subject.proof, "at_a_hub", False):
        return ""
    signed = tokens.read.get(settings.userauth)
    key = str(subject.proof.key or getattr(signed and signed.upstream, "key", ""))
    if not key:
        report.error(
            ("textile", "people"),
            "have no key in the file",
            f"[callers.{settings.people}] key = …, or userauth = the token that says which it is",
        )
    return key


def _check_tokens(settings: TextileSettings, tokens: Tokens, report: Report) -> None:
    for key, name in ("token", settings.token), ("userauth", settings.userauth):
        if not name and key == "userauth":
            continue
        if name not in tokens.declared:
            hint = did_you_mean(name, tokens.declared)
            report.error(("textile", key), "there is no such token", hint)
        elif name in tokens.read:
            signed = getattr(tokens.read[name].upstream, "user_auth", False)
            if key == "userauth" and not signed:
                report.error(("textile", key), "is no signature", 'upstream = "textile_userauth"')
            if key == "token" and passes(tokens.read[name].upstream):
                report.error(
                    ("textile", key),
                    "is given for a signed challenge of its own, which is not passed on here",
                    "POST /challenge passes it on; these routes give tokens of a hub of ours",
                )
            if key == "token" and signed:
                report.error(
                    ("textile", key), "is a signature, and no token", f'userauth = "{name}"'
                )


def _check_visitors(settings: TextileSettings, callers: Callers, report: Report) -> None:
    at, name = ("textile", "visitors"), settings.visitors
    if not name:
        return
    client = callers.client_named(name)
    if client is not None and not client.public:
        report.error(at, "can show who it is: visitors cannot", 'proof = "none"')
    elif name in callers.subjects:
        report.error(at, "is no client: it vouches for people only", 'proof = "none"')
    elif name not in callers.declared:
        report.error(at, "there is no such caller", did_you_mean(name, callers.clients))
    elif client is not None:
        report.warn(
            at,
            "anybody, without showing anything, gets what rules for "
            f"callers.{name} allow at /api/userauth",
            "let your pages show a token of somebody whom you trust",
        )
