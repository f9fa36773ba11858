"""``[callers.<name>]`` of those who are their keys: whether they can live side by side."""

from collections.abc import Mapping
from typing import Any

from tokenward.server.config import Report
from tokenward.server.limits import Rates
from tokenward.server.settings.subjects import SubjectSettings


def key_holders(subjects: Mapping[str, SubjectSettings]) -> dict[str, Any]:
    """The settings of those who show a key, by the names of their tables."""
    return {
        name: it.proof for name, it in subjects.items() if getattr(it.proof, "by_challenge", False)
    }


def check_holders(
    subjects: Mapping[str, SubjectSettings],
    limits: Rates | None,
    report: Report,
    *,
    issuers: bool,
) -> None:
    """A key belongs to one of them, and the question is asked by an issuer of ours."""
    owners: dict[str, str] = {}
    for name, proof in key_holders(subjects).items():
        if not issuers:
            report.error(
                ("callers", name, "proof"),
                "needs an issuer of ours, which asks whose key it is",
                'at the top of the file: issuer = "https://tokens.example.com"',
            )
        for key in sorted(proof.keys, key=str):
            if owners.setdefault(key.text, name) != name:
                report.error(
                    ("callers", name, "keys"),
                    f"one of them belongs to callers.{owners[key.text]} already",
                )
        if not proof.anybody:
            continue
        for kind in sorted(proof.types):
            if owners.setdefault(kind, name) != name:
                report.error(
                    ("callers", name, "types"),
                    f"callers.{owners[kind]} lets anybody come with a key of {kind} already",
                )
        if limits is not None and limits.address is None:
            report.warn(
                ("callers", name, "anybody"),
                "anybody can make keys without number, and each answer is remembered for two "
                "minutes",
                'say how often one address may ask: [limits] address = "10/s burst 50"',
            )
