"""With what certificate a hub's gRPC speaks TLS: our listener's, read anew when it changes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(slots=True, kw_only=True)
class Keys:
    """Files, as PEM; they have been found to be good before."""

    certificate: str
    key: str
    password: str = field(default="", repr=False)
    client_ca: str = ""
    """Whose clients alone may come; everybody's if there is none."""

    _seen: tuple[int, ...] = field(default=(), init=False)

    def credentials(self) -> Any:
        """For the library, which asks at each handshake whether there is something new."""
        return grpc.dynamic_ssl_server_credentials(
            self._read(), self._renewed, require_client_authentication=bool(self.client_ca)
        )

    def _renewed(self) -> Any:
        """What is new, or ``None``; a file that cannot be used changes nothing."""
        try:
            return None if self._written() == self._seen else self._read()
        except (OSError, ValueError, TypeError):
            return None

    def _written(self) -> tuple[int, ...]:
        files = (self.certificate, self.key, self.client_ca)
        return tuple(Path(path).stat().st_mtime_ns for path in files if path)

    def _read(self) -> Any:
        seen = self._written()
        pem = Path(self.key).read_bytes()
        if self.password:
            private = load_pem_private_key(pem, self.password.encode())
            pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pair = pem, Path(self.certificate).read_bytes()
        believed = Path(self.client_ca).read_bytes() if self.client_ca else None
        made = grpc.ssl_server_certificate_configuration([pair], root_certificates=believed)
        self._seen = seen
        return made
