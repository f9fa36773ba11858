"""All of it together: the settings of one server, made of the tables of one file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from tokenward.server.config import Problem, Report, fill, spelled
from tokenward.server.limits import Rates
from tokenward.server.policy import Rule
from tokenward.server.proxy import Proxy
from tokenward.server.registry import Registered
from tokenward.server.settings.callers import check_defaults, read_callers
from tokenward.server.settings.certificates import mind_certificates
from tokenward.server.settings.clients import Metadata
from tokenward.server.settings.holders import check_holders
from tokenward.server.settings.hub import check_hub
from tokenward.server.settings.issuers import IssuerSettings, read_issuers
from tokenward.server.settings.kept import cache_url, key_text, mind_passwords, store_url
from tokenward.server.settings.lasting import mind_forgetting, mind_refresh_tokens
from tokenward.server.settings.limits import read_limits
from tokenward.server.settings.listen import Listen, listen_table, mind_workers, read_listen
from tokenward.server.settings.log import LogSettings, read_log
from tokenward.server.settings.metrics import MetricsSettings, read_metrics
from tokenward.server.settings.onward import mind_onward
from tokenward.server.settings.otel import OtelSettings, read_otel
from tokenward.server.settings.proxy import read_proxy
from tokenward.server.settings.rules import read_rules
from tokenward.server.settings.subjects import SubjectSettings
from tokenward.server.settings.textile import Textile, read_textile
from tokenward.server.settings.tokens import TokenSettings, read_tokens
from tokenward.server.upstreams import forwards
from tokenward.server.values import refusal, tables


def audit_table(value: object) -> Mapping[str, object]:
    """The table, or the mode alone: ``audit = "behind"``."""
    return {"mode": value} if isinstance(value, str) else tables(value)


def rule_tables(value: object) -> tuple[object, ...]:
    """A list of tables."""
    if not isinstance(value, list):
        exc = refusal(value, "a list of tables")
        exc.hint = "write [[allow]] above every rule"
        raise exc
    return tuple(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTable:
    """The top of the file."""

    store: Annotated[str, store_url] = "memory:"
    """What is kept where: `sqlite:///var/lib/tokenward.db`, `sqlite:relative.db`,
    `postgresql://user:${PASSWORD}@host/database`, or `memory:`, which forgets at the end.
    `DATABASE_URL` counts if nothing is said here."""

    cache: Annotated[str, cache_url] = ""
    """Where what is fleeting is shared, so that the store has less to do:
    `redis://:${PASSWORD}@host:6379/0`, or `rediss://` for TLS. It may be gone, and it may forget:
    what may happen once is remembered in the store alone. The store, unless said."""

    lane: Literal["fast", "asgi"] = "fast"
    """`fast`: what arrives whole and waits for nobody is answered at once. `asgi`: every request
    goes the usual way; the answers are the same."""

    encryption_key: Annotated[str, key_text] = field(default="", repr=False)
    """What secrets at rest are sealed with: 32 bytes in base64url, as `"${NAME}"`. Several, with
    white space between, while one takes the place of another: the first seals, all open."""

    encryption_key_file: str = ""
    """The same in a file, one key a line, which is made if there is none; beside the database
    unless said. systemd hands one over as `"${CREDENTIALS_DIRECTORY}/encryption.key"`."""

    def __post_init__(self) -> None:
        if self.encryption_key and self.encryption_key_file:
            raise ValueError("encryption_key_file: and encryption_key are two keys: say one")
        given = self.encryption_key or self.encryption_key_file
        if self.store.lower().startswith("postgres") and not given:
            raise ValueError(
                "store: needs an encryption_key or encryption_key_file, which all who share the "
                'database know: encryption_key = "${ENCRYPTION_KEY}"'
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sections:
    """Everything below it."""

    issuer: str = ""
    """Short for `[issuers.main]` with this `url`."""

    listen: Annotated[Mapping[str, object], listen_table] = field(default_factory=dict)
    """Where we wait for requests; `listen = "127.0.0.1:8080"` is short for its `address`."""

    audit: Annotated[Mapping[str, object], audit_table] = field(default_factory=dict)
    """Where the trail of all requests goes; `audit = "behind"` is short for its `mode`."""

    proxy: Annotated[Mapping[str, object], tables] | None = None
    """Who stands in front of us?"""

    metrics: Annotated[Mapping[str, object], tables] | None = None
    """Who may see the numbers?"""

    otel: Annotated[Mapping[str, object], tables] | None = None
    """Where do traces go?"""

    log: Annotated[Mapping[str, object], tables] = field(default_factory=dict)
    """Is every request logged?"""

    textile: Annotated[Mapping[str, object], tables] | None = None
    """Are there the routes of Textile's own examples?"""

    limits: Annotated[Mapping[str, object], tables] = field(default_factory=dict)
    """How often may who ask?"""

    issuers: Annotated[Mapping[str, object], tables] = field(default_factory=dict)
    """Who are we?"""

    callers: Annotated[Mapping[str, object], tables] = field(default_factory=dict)
    """Who may ask?"""

    tokens: Annotated[Mapping[str, object], tables] = field(default_factory=dict)
    """What is there to ask for?"""

    allow: Annotated[tuple[object, ...], rule_tables] = ()
    """Who may have what? `[[allow]]`, one table for each rule, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """``[audit]``"""

    to: str = "stdout"
    """Where it goes, one JSON object a line: `stdout`, or the path of a file."""

    mode: Literal["behind", "before"] = "behind"
    """`behind`: written in batches, at most 50 ms after the answer. `before`: on the disk before
    the answer leaves, which costs each answer the time of an `fsync`; needs a file."""

    def __post_init__(self) -> None:
        if not self.to:
            raise ValueError('to: must be "stdout" or the path of a file')
        if self.mode == "before" and self.to == "stdout":
            raise ValueError('mode: "before" needs a file: say to = "/var/log/tokenward.jsonl"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one server: complete, checked, and free of contradictions."""

    store: str = field(default="memory:", repr=False)
    cache: str = field(default="", repr=False)
    listen: Listen = field(default_factory=Listen)
    lane: Literal["fast", "asgi"] = "fast"
    encryption_key: str = field(default="", repr=False)
    encryption_key_file: str = ""
    audit: AuditSettings = field(default_factory=AuditSettings)
    proxy: Proxy | None = None
    metrics: MetricsSettings | None = None
    otel: OtelSettings | None = None
    log: LogSettings = field(default_factory=LogSettings)
    limits: Rates = field(default_factory=Rates)
    textile: Textile | None = None
    issuers: Mapping[str, IssuerSettings] = field(default_factory=dict)
    subjects: Mapping[str, SubjectSettings] = field(default_factory=dict)
    clients: Mapping[str, Registered] = field(default_factory=dict)
    """By client_id."""

    metadata: Mapping[str, Metadata] = field(default_factory=dict)
    """What clients say about themselves, by client_id."""

    tokens: Mapping[str, TokenSettings] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    origins: frozenset[str] = frozenset()
    """All origins of all callers."""

    warnings: tuple[Problem, ...] = ()

    @property
    def forwards(self) -> bool:
        """Whether some upstream wants to see callers' own tokens."""
        return any(forwards(token.upstream) for token in self.tokens.values())


def read(document: Mapping[str, object], report: Report) -> Settings:
    """Make settings of a document whose variables have been filled in.

    Raises ``ConfigError`` with every mistake that can be told from here.
    """
    document = spelled(document, (), report, ServerTable, Sections)
    mind_passwords(document, report)
    top = fill(ServerTable, document, (), report)
    sections = fill(Sections, document, (), report)
    if sections is None:
        report.settle()
        raise AssertionError("something is missing, and nobody said why")
    audit = fill(
        AuditSettings,
        spelled(sections.audit, ("audit",), report, AuditSettings),
        ("audit",),
        report,
    )
    listen = read_listen(sections.listen, report)
    proxy = read_proxy(sections.proxy, report)
    metrics = read_metrics(sections.metrics, report)
    otel = read_otel(sections.otel, report)
    log = read_log(sections.log, report)
    issuers = read_issuers(sections.issuers, sections.issuer, report)
    callers = read_callers(sections.callers, report)
    limits = read_limits(sections.limits, callers, report)
    check_holders(callers.subjects, limits, report, issuers=bool(issuers.declared))
    mind_certificates(callers, listen, proxy, report)
    tokens = read_tokens(sections.tokens, issuers, callers, report)
    check_hub(callers.subjects, issuers, listen, report)
    textile = read_textile(sections.textile, callers, tokens, issuers, report)
    check_defaults(callers, tokens.declared, report)
    rules = read_rules(sections.allow, callers, tokens, report)
    mind_onward(rules, callers, tokens, report)
    mind_refresh_tokens(tokens.read, report)
    if top:
        mind_forgetting(top.store, issuers, tokens.read, report)
        mind_workers(listen, top.store, report)
    if not sections.tokens:
        report.warn((), "there is nothing to ask for", "a token is a table: [tokens.reports]")
    report.settle()
    if top is None or audit is None:
        raise AssertionError("something is missing, and nobody said why")
    by_id = {one.registered.client.id: one for one in callers.clients.values()}
    return Settings(
        store=top.store,
        cache=top.cache,
        listen=listen,
        lane=top.lane,
        encryption_key=top.encryption_key,
        encryption_key_file=top.encryption_key_file,
        audit=audit,
        proxy=proxy,
        metrics=metrics,
        otel=otel,
        log=log,
        limits=limits or Rates(),
        textile=textile,
        issuers=issuers.read,
        subjects=callers.subjects,
        clients={id: one.registered for id, one in by_id.items()},
        metadata={id: one.metadata for id, one in by_id.items()},
        tokens=tokens.read,
        rules=rules,
        origins=callers.origins,
        warnings=report.warnings,
    )
