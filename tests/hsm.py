"""A hardware module in software: SoftHSM, Debian's ``softhsm2``, with tokens that vanish after."""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from bootstrap import debian

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
PIN = "135790-pin-of-the-user"


class Missing(Exception):
    """There is none here."""


class SoftHsm:
    """Its tokens are in a folder; a process sees them that has ``environ``."""

    def __init__(self, folder):
        self.module = next((path for path in MODULES if Path(path).exists()), "")
        if not self.module or shutil.which("softhsm2-util") is None:
            raise Missing(f"there is no SoftHSM; run: {debian.command('softhsm2')}")
        self.tokens = Path(folder) / "tokens"
        self.tokens.mkdir()
        settings = Path(folder) / "softhsm2.conf"
        settings.write_text(
            f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self.environ = {"SOFTHSM2_CONF": str(settings)}

    def token(self, pin=PIN):
        """The label of a new token."""
        label = f"token-{secrets.token_hex(4)}"
        words = ["--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "24680-so"]
        subprocess.run(
            ["softhsm2-util", *words],
            env={**os.environ, **self.environ},
            check=True,
            capture_output=True,
        )
        return label
