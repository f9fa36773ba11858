"""Whom the system trusts, for programs that would otherwise trust a list of their own.

Law: what somebody has set themselves is never overruled.
"""

import os
from pathlib import Path

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora and its kin
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS and the BSDs
)


def system() -> str | None:
    """The file of authorities this system trusts; None where there is none to be found."""
    said = os.environ.get("SSL_CERT_FILE")
    return next((file for file in (said, *BUNDLES) if file and Path(file).is_file()), None)
