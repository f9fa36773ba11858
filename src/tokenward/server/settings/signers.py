"""Who holds the private keys of an issuer? ``[issuers.<name>.keys]``"""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenward.server import plugins
from tokenward.server.config import Report, fill, spelled
from tokenward.server.settings.names import plugin
from tokenward.server.signers import Signer
from tokenward.server.values import At


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysTable:
    """``[issuers.<name>.keys]``"""

    signer: str
    """Who signs: `pkcs11`, a hardware module; or `module:Class`."""


def read_signer(
    table: Mapping[str, object] | None, algorithm: str, at: At, report: Report
) -> Signer | None:
    """What the table says; ``None`` if there is none, so that the keys are in the store."""
    if table is None:
        return None
    at = (*at, "keys")
    cls = plugin(plugins.SIGNER, table, at, report)
    if cls is None:
        return None
    table = spelled(table, at, report, KeysTable, cls)
    fill(KeysTable, table, at, report)
    signer: Signer | None = fill(cls, table, at, report)
    if signer is not None and algorithm not in signer.algorithms:
        report.error(
            (*at, "signer"),
            f"{table['signer']} cannot sign with {algorithm}",
            f"algorithm = one of: {', '.join(sorted(signer.algorithms))}",
        )
    return signer
