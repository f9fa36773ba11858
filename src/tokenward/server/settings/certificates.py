"""Clients that sign their certificates themselves, beside clients that others vouch for.

A certificate that its client signed itself has to get past whoever checks certificates, and must
not bring others with it.
"""

from tokenward.server.config import Report
from tokenward.server.proxy import Proxy
from tokenward.server.settings.callers import Callers
from tokenward.server.settings.listen import Listen

_VOUCHED, _OWN = "tls_client_auth", "self_signed_tls_client_auth"


def mind_certificates(
    callers: Callers, listen: Listen, proxy: Proxy | None, report: Report
) -> None:
    """See that no client can make certificates for the others."""
    _mind_holders(callers, listen, proxy, report)
    by_proof: dict[str, list[str]] = {_VOUCHED: [], _OWN: []}
    for name, one in callers.clients.items():
        by_proof.get(getattr(one.registered.proof, "name", ""), []).append(name)
    if not all(by_proof.values()):
        return
    # Here, because only few clients have one.
    from tokenward.server.certificates import may_vouch  # noqa: PLC0415

    others = ", ".join(by_proof[_VOUCHED])
    for name in by_proof[_OWN]:
        proof = callers.clients[name].registered.proof
        for position, pem in enumerate(getattr(proof, "certificates", ())):
            if listen.tls and listen.tls.client_ca and may_vouch(pem):
                report.error(
                    ("callers", name, "certificates", position),
                    f"could sign certificates for {others}: it does not say that it is no CA",
                    "make it anew with: openssl req -x509 -addext basicConstraints=CA:FALSE ...",
                )
    if proxy is not None and proxy.certificate_header:
        report.warn(
            ("proxy", "certificate_header"),
            f"a proxy that lets certificates pass which clients signed themselves lets anybody be "
            f"{others}",
            "have it check every certificate (in nginx optional_no_ca does not), or give those "
            'who sign their own proof = "private_key_jwt"',
        )


def _mind_holders(callers: Callers, listen: Listen, proxy: Proxy | None, report: Report) -> None:
    """See that whom a certificate lets in can show one."""
    told = proxy is not None and proxy.certificate_header
    if told or (listen.tls and listen.tls.client_ca):
        return
    for name, one in callers.subjects.items():
        if hasattr(one.proof, "authorities"):
            report.warn(
                ("callers", name, "authorities"),
                "nobody can show a certificate: nothing asks for one",
                'tls_client_ca = "…" in [listen], or certificate_header = "…" in [proxy]',
            )
