"""Everybody who can show who they are, and each way to: who asks for the same token in all of them.

Law: all of them get the token of an upstream's that `getToken` hands out, which is in memory, so
that what is measured is the proof. Only a hub has tokens of its own alone, and signs each.
"""

import hmac
import json
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bench import neighbours
from bench.asking import Pool, Wrong
from bench.callers import BY_CERTIFICATE, CALLERS, PROXY, SIGNER, certificate, inline, rules
from bench.checking import RSA_BITS
from bench.ours import EXCHANGE, JWT, SERVICE, Ours
from bench.requests import access_token, basic, bearer, get, post
from bench.talking import talk
from tokenward.jose import keyproof, multibase
from tokenward.jose.identity import PrivateKey
from tokenward.jose.jws import dump_object, segment
from tokenward.jose.keys import SigningKey

KINDS = ("ed25519", "p256", "secp256k1", "rsa")
"""Of the keys of those who are their keys."""

SIGNERS = ("ES256", "EdDSA")
"""What clients with a key sign with."""

BY = "key, "
ASSERTED = "private_key_jwt, "
GET_TOKEN, OPAQUE, API_KEY, CERTIFICATE = "jwt", "introspection", "api_key", "certificate"
STRANGER = "jwt never seen"
ASKED, HUB = "POST /challenge alone", "hub_key"
BASIC, POST, SECRET_JWT, TLS = (
    *("client_secret_basic", "client_secret_post", "client_secret_jwt", "tls_client_auth"),
)

_HUB_KEY = "b" + "a" * 26
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(slots=True, kw_only=True)
class Proofs:
    """A tokenward that knows all of them, and what they show."""

    ours: Ours
    proxied: bool = False
    """Whether a proxy in front of it says who showed which certificate."""

    people: dict[str, PrivateKey] = field(default_factory=dict, repr=False)
    clients: dict[str, SigningKey] = field(default_factory=dict, repr=False)
    shared: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    hub_secret: bytes = field(default_factory=lambda: secrets.token_bytes(24), repr=False)
    api_key: str = field(default="", init=False, repr=False)
    certificate: str = field(default="", init=False)
    """As a proxy passes it on (RFC 9440 §2.1)."""

    def prepare(self) -> None:
        """Make all their keys, and whatever has to be there before the server starts."""
        if self.proxied:
            self.certificate, authority = certificate()
            self.ours.top = PROXY
            self.ours.more = BY_CERTIFICATE + rules("jobs", "machine")
            self.ours.variables = {"AUTHORITY": authority}
            self.ours.prepare()
            return
        self.people = {kind: _key(kind) for kind in KINDS}
        self.clients = {alg: SigningKey.generate(alg) for alg in SIGNERS}
        callers = CALLERS.substitute(
            port=self.ours.port,
            neighbour=self.ours.neighbour,
            us=neighbours.CLIENT,
            keys=", ".join(f'"{key.public}"' for key in self.people.values()),
            hub_key=_HUB_KEY,
            signers="".join(
                SIGNER.substitute(name=f"signer-{alg.lower()}", key=inline(key.public_jwk()))
                for alg, key in self.clients.items()
            ),
        )
        signers = [f"signer-{alg.lower()}" for alg in self.clients]
        allowed = rules("partner", "scripts", "friends", "shared", SERVICE, *signers)
        self.ours.more = callers + allowed
        self.ours.variables = {
            "SHARED_SECRET": self.shared,
            "HUB_SECRET": multibase.encode(self.hub_secret),
        }
        self.ours.prepare()
        self.api_key = self._made()

    def _made(self) -> str:
        """An API key, made as an operator does; raises ``OSError`` and ``ValueError``."""
        command = [sys.executable, "-P", "-m", "tokenward", "api-keys", "new", "export"]
        done = subprocess.run(  # noqa: S603 - our own program
            [*command, "--owner", "ann@example.com", "--json"],
            cwd=self.ours.program.folder,
            env=self.ours.program.whole_environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(f"no API key: {(done.stderr or done.stdout)[-300:]}")
        return str(json.loads(done.stdout)["key"])

    # ── what is asked the same way again and again ──

    def asking(self, proof: str) -> list[bytes]:
        """The request that shows this proof."""
        return [self.requests()[proof]]

    def requests(self) -> dict[str, bytes]:
        """By the name of the proof."""
        ours = self.ours
        if self.proxied:
            shown = f"Client-Cert: {self.certificate}\r\n"
            return {
                CERTIFICATE: get("/getToken", shown),
                TLS: post("/token", _wanted() | {"client_id": "machine"}, shown),
            }
        secret = {"client_id": SERVICE, "client_secret": ours.secret}
        return {
            GET_TOKEN: get("/getToken", bearer(ours.caller("regular"))),
            OPAQUE: get("/getToken", bearer("ptn_" + secrets.token_urlsafe(32))),
            API_KEY: get("/getToken", bearer(self.api_key)),
            ASKED: self._asking("ed25519"),
            BASIC: post("/token", _wanted(), basic(SERVICE, ours.secret)),
            POST: post("/token", _wanted() | secret),
        }

    def _asking(self, kind: str) -> bytes:
        return post("/challenge", {"public_key": self.people[kind].public.text})

    # ── what is good for once ──

    async def stranger(self, pool: Pool) -> None:
        """Somebody comes whom nobody has seen before, with a token of the usual kind."""
        shown = bearer(self.ours.caller(secrets.token_urlsafe(12)))
        body = await pool.ask(get("/getToken", shown))
        if not body.startswith(b"Bearer eyJ"):
            raise Wrong(f"no token: {body[:100]!r}")

    async def answered(self, kind: str, pool: Pool) -> None:
        """The whole of a challenge: be asked, sign, and exchange the answer."""
        asked = json.loads(await pool.ask(self._asking(kind)))
        proof = keyproof.write(self.people[kind], audience=asked["aud"], nonce=asked["nonce"])
        form = {"grant_type": EXCHANGE, "subject_token": proof, "subject_token_type": JWT}
        _looked_at(await pool.ask(post("/token", form)))

    async def asserted(self, alg: str, pool: Pool) -> None:
        """A client signs that it is itself, once (RFC 7523 §2.2)."""
        name = f"signer-{alg.lower()}"
        claims = self._said(name, f"http://127.0.0.1:{self.ours.port}")
        signed = self.clients[alg].sign(claims, typ="client-authentication+jwt")
        await self._as_client(pool, "/token", signed)

    async def shared_secret(self, pool: Pool) -> None:
        """The same with a secret (OpenID Connect Core §9)."""
        claims = self._said("shared", f"http://127.0.0.1:{self.ours.port}/shared")
        head = segment(dump_object({"alg": "HS256", "typ": "JWT"}))
        signed = head + b"." + segment(dump_object(claims))
        mark = segment(hmac.digest(self.shared.encode(), signed, "sha256"))
        await self._as_client(pool, "/shared/token", (signed + b"." + mark).decode())

    def _said(self, name: str, audience: str) -> dict[str, object]:
        now = int(time.time())
        said = {"iss": name, "sub": name, "aud": audience, "iat": now, "exp": now + 60}
        return {**said, "jti": secrets.token_urlsafe(16)}

    async def _as_client(self, pool: Pool, path: str, assertion: str) -> None:
        shown = {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
        _looked_at(await pool.ask(post(path, _wanted() | shown)))

    async def at_the_hub(self, pool: Pool) -> None:
        """A Textile client's conversation, on a connection of its own."""
        until = datetime.now(UTC) + timedelta(minutes=10)
        message = until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        signature = multibase.encode(hmac.digest(self.hub_secret, message.encode(), sha256))
        said = {
            "x-textile-api-key": _HUB_KEY,
            "x-textile-api-sig-msg": message,
            "x-textile-api-sig": signature,
        }
        token = await talk(pool.port, "/hub/threads.pb.API/GetToken", said, self.people["ed25519"])
        if not token.startswith("eyJ"):
            raise Wrong(f"no token: {token[:100]}")


def _key(kind: str) -> PrivateKey:
    """Somebody's key; one of RSA as short as it may be, for those who ask have to sign with it."""
    if kind != "rsa":
        return PrivateKey.generate(kind)
    made = rsa.generate_private_key(65537, RSA_BITS)
    pem = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return PrivateKey.from_string(pem.decode())


def _wanted() -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "audience": "platform",
        "scope": "itwin-platform",
    }


def _looked_at(body: bytes) -> None:
    if not access_token(body).startswith("eyJ"):
        raise Wrong(f"no token: {body[:100]!r}")
