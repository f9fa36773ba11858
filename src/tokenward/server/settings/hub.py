"""Hubs and the applications that ask at them: what neither table can know by itself."""

from collections.abc import Mapping

from tokenward.server.config import Report
from tokenward.server.settings.issuers import Issuers
from tokenward.server.settings.subjects import SubjectSettings
from tokenward.server.values import At
from tokenward.server.websocket import MISSING, installed


def check_hub(subjects: Mapping[str, SubjectSettings], issuers: Issuers, report: Report) -> None:
    """One key, one application; and somewhere to ask."""
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
        if key in owners:
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
