"""Who may ask? ``[callers.<name>]``: clients registered here, and issuers whose people we believe.

Which of the two a table is, its ``proof`` decides.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tokenward.server import plugins
from tokenward.server.config import Report
from tokenward.server.model import Client
from tokenward.server.settings.clients import ClientSettings, read_client
from tokenward.server.settings.names import (
    RESERVED,
    check_name,
    name_fault,
    plugin,
    read_table,
)
from tokenward.server.settings.subjects import SubjectSettings, check_trust, read_subject
from tokenward.server.values import At, did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """All of them, by the names of their tables, as far as they could be read."""

    declared: frozenset[str]
    subjects: Mapping[str, SubjectSettings]
    clients: Mapping[str, ClientSettings]

    @property
    def origins(self) -> frozenset[str]:
        """All origins of all of them."""
        subjects, clients = self.subjects.values(), self.clients.values()
        return frozenset[str]().union(
            *(one.origins for one in subjects), *(one.origins for one in clients)
        )

    def client_named(self, name: str) -> Client | None:
        """The client whose table has that name."""
        return self.clients[name].registered.client if name in self.clients else None


def read_callers(tables: Mapping[str, object], report: Report) -> Callers:
    """Read all callers, and see whether they can live side by side."""
    subjects: dict[str, SubjectSettings] = {}
    clients: dict[str, ClientSettings] = {}
    for name, value in tables.items():
        at: At = ("callers", name)
        check_name(name, at, report)
        if name in RESERVED:
            report.error(at, "is a name that rules have for others", "give it another name")
        table = read_table(value, at, report)
        cls = None if table is None else plugin(plugins.PROOF, table, at, report)
        if table is None or cls is None:
            continue
        if hasattr(cls, "methods"):
            client = read_client(name, table, cls, at, report)
            if client is not None:
                clients[name] = client
        else:
            subject = read_subject(name, table, cls, at, report)
            if subject is not None:
                subjects[name] = subject
    callers = Callers(declared=frozenset(tables), subjects=subjects, clients=clients)
    _check_ids(callers, report)
    check_trust(subjects, report)
    return callers


def _check_ids(callers: Callers, report: Report) -> None:
    """No client may be taken for another, nor for a caller, wherever a subject is written."""
    owners: dict[str, str] = {}
    for name, settings in callers.clients.items():
        id, at = settings.registered.client.id, ("callers", name, "client_id")
        if id != name and (fault := name_fault(id) or _unsayable(id)):
            report.error(at, fault)
        elif id in owners:
            report.error(at, f"belongs to callers.{owners[id]} already")
        elif id in callers.declared - {name}:
            report.error(at, "is the name of another caller, who could be taken for this client")
        elif id == name and (fault := _unsayable(id)):
            report.error(("callers", name), fault)
        owners.setdefault(id, name)


def _unsayable(id: str) -> str:
    """RFC 6749 App. A.1: client-id = *VSCHAR."""
    return "" if id.isascii() else "must be ASCII to be a client_id; say client_id = …"


def check_defaults(callers: Callers, tokens: Iterable[str], report: Report) -> None:
    """A caller's default token must be one."""
    defaults = {name: one.default for name, one in callers.subjects.items()}
    defaults |= {name: one.registered.client.default for name, one in callers.clients.items()}
    for name, default in defaults.items():
        if default and default not in (known := frozenset(tokens)):
            report.error(
                ("callers", name, "default"), "there is no such token", did_you_mean(default, known)
            )
