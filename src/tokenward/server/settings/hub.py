"""Hubs and the applications that ask at them: what neither table can know by itself."""

from collections.abc import Mapping

from tokenward.remote.discovery import is_loopback
from tokenward.server.config import Report
from tokenward.server.settings.issuers import Issuers
from tokenward.server.settings.listen import Listen
from tokenward.server.settings.subjects import SubjectSettings
from tokenward.server.values import At
from tokenward.server.websocket import MISSING, installed


def check_hub(
    subjects: Mapping[str, SubjectSettings], issuers: Issuers, listen: Listen, report: Report
) -> None:
    """One key, one application; and somewhere to ask."""
    _check_ports(issuers, listen, report)
    hub = "hub" in issuers.profiles.values()
    for name, profile in issuers.profiles.items():
        if profile == "hub" and not installed():
            report.error(("issuers", name, "profile"), f"hub: {MISSING}")
    owners: dict[str, str] = {}
    for name, subject in subjects.items():
        at: At = ("callers", name)
        if not getattr(subject.proof, "at_a_hub", False):
            continue
        key = subject.proof.key
        if key and key in owners:
            report.error((*at, "key"), f"is the key of callers.{owners[key]} already")
        owners.setdefault(key, name)
        if not hub:
            report.warn(
                (*at, "proof"),
                "nobody can ask with it: no issuer is a hub",
                'profile = "hub" in a table [issuers.hub]',
            )
        if subject.proof.development:
            report.warn(
                (*at, "development"),
                "whoever knows the key, and it is in every copy of the application, gets tokens",
                'secret = "${HUB_SECRET}"',
            )


def _check_ports(issuers: Issuers, listen: Listen, report: Report) -> None:
    """One port, one hub; and what strangers could read on its way is not said in the clear."""
    owners: dict[str, str] = {}
    for name, issuer in issuers.read.items():
        place: str = getattr(issuer.profile, "grpc", "")
        if not place:
            continue
        at: At = ("issuers", name, "grpc")
        if place in owners:
            report.error(at, f"is the port of issuers.{owners[place]} already")
        owners.setdefault(place, name)
        host, _, port = place.rpartition(":")
        if listen.tls is None and not is_loopback(host.strip("[]")):
            report.error(
                at,
                "would speak in the clear to more than this machine",
                "tls_certificate and tls_key in [listen], or an address such as 127.0.0.1:3006",
            )
        if int(port) == 0 and listen.workers > 1:
            report.error(at, "must be a port: several processes share it")
