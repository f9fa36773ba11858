"""What one signature costs: to make it, and to see that it is right. No token, no HTTP.

    python -m bench.checking

On standard input: a line of JSON {"how": "verify p256", "many"}. On standard output: {"us"},
microseconds of processor time for each.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

SHA256 = hashes.SHA256()
ECDSA, PKCS1 = ec.ECDSA(SHA256), padding.PKCS1v15()
DATA = b"x" * 300
"""As much as there is to sign in a token."""

RSA_BITS = 2048


def private(kind: str) -> Any:
    """A new key."""
    match kind:
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "p256":
            return ec.generate_private_key(ec.SECP256R1())
        case "secp256k1":
            return ec.generate_private_key(ec.SECP256K1())
        case "rsa":
            return rsa.generate_private_key(65537, RSA_BITS)
    raise ValueError(f"no kind of key: {kind}")


def work(how: str) -> Callable[[], object]:
    """One signature made, or one verified; raises ``ValueError`` for anything else."""
    what, _, kind = how.partition(" ")
    key = private(kind)
    scheme: tuple[Any, ...] = {"ed25519": (), "rsa": (PKCS1, SHA256)}.get(kind, (ECDSA,))
    signature = key.sign(DATA, *scheme)
    match what:
        case "sign":
            return lambda: key.sign(DATA, *scheme)
        case "verify":
            public = key.public_key()
            return lambda: public.verify(signature, DATA, *scheme)
    raise ValueError(f"nothing to do with a signature: {what}")


def main() -> None:
    """Answer until nobody asks any more."""
    known: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        how, many = str(asked["how"]), int(asked["many"])
        try:
            one = known.get(how) or known.setdefault(how, work(how))
        except ValueError as problem:
            said: dict[str, object] = {"error": str(problem)}
        else:
            began = time.process_time()
            for _ in range(many):
                one()
            said = {"us": (time.process_time() - began) / many * 1e6}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
