"""What the clients are tried against: one tokenward with an issuer of every dialect, and a friend.

Ids and secrets of ours need no encoding; those of ``AWKWARD`` do, as somebody's old ones may. Those
of ``RAW`` mean something else when they are decoded.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.leaks import Ledger
from tests.running import CONFIG, Tokenward, hashed
from tests.servers import Issuer
from tokenward.jose.keys import SigningKey

NIGHTLY = ("nightly", "nightly-Zx0u5HnPq4e2T7rW9sVb3YcK6mJdLfGa")
REPORTS_API = ("reports-api", "reports-api-8QhB1tXoN5vRk2Wc7ZsUy4MjPdLe")
SERVICE = ("service-Wt3KqN8xYbR1", "service-5JmVh2ZcTq9LsXe7NbRw4KyPdGu8FoAi")
AWKWARD = ("service a+b:c%20 d", "s e c/r=et+1 &%2B%20 {and} long enough 'for' ~all~")
RAW = ("service+raw%41", "r:a%20w+/=% as some send it, long enough &%2B%zz")
HMAC = ("hmac", "hmac-4Yh7TqVn2ZsXk9WcPb6RdLuJeMgFa3Qo")
SIGNER = ec.generate_private_key(ec.SECP256R1())
TEST_CLIENT = ("0oaTestClient", "okta-test-client-R7nXv2KqWz5LtYb9HsMc")

REPORTS = "https://api.example.com/reports"
MODELS = "https://models.example.com"
ORDERS = "api://orders"
ARCHIVE = "https://api.example.com/archive"
US = "https://tokens.example.com"

# Made as the hosted Hub made them: 16 random bytes, and 24 (docs/howto/be-a-textile-hub.md).
NOTES = ("bpbhjz4od64roigwoxn52jvxxz4", "bxcuuxtcatg3l2imjwsdronzeah3a7plasijvzgi")
TRIAL = "ba4tnjmzrduhqgvea4lpg2nlf5y"
STRANGERS = "brs5smedyhh3ok2jg42hp2w5xoe"
JWT = "urn:ietf:params:oauth:token-type:jwt"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"

SETTINGS = """
store  = "sqlite:tokenward.db"
listen = "127.0.0.1:{port}"
[audit]
to = "audit.jsonl"

[issuers.main]
url = "http://127.0.0.1:{port}"
client_secret_jwt = true
[issuers.rs256]
url       = "http://127.0.0.1:{port}/rs256"
algorithm = "RS256"
[issuers.ims]
url     = "http://127.0.0.1:{port}/ims"
profile = "ims"
[issuers.other]
url     = "http://127.0.0.1:{port}/other"
profile = "ims"
[issuers.orders]
url     = "http://127.0.0.1:{port}/oauth2/orders"
profile = "okta"

[issuers.hub]
url     = "http://127.0.0.1:{port}/hub"
profile = "hub"
grpc    = "127.0.0.1:{native}"

[callers.people]
proof    = "jwt"
issuer   = "{friend}"
audience = "https://tokens.example.com"
[callers.nightly]
proof       = "client_secret"
secrets     = ["${{NIGHTLY}}"]
grant_types = ["client_credentials", "token_exchange"]
[callers.reports-api]
proof       = "client_secret"
secrets     = ["${{REPORTS_API}}"]
grant_types = []
[callers.service]
proof     = "client_secret"
client_id = "service-Wt3KqN8xYbR1"
secrets   = ["${{SERVICE}}"]
[callers.awkward]
proof     = "client_secret"
client_id = "service a+b:c%20 d"
secrets   = ["${{AWKWARD}}"]
[callers.raw]
proof     = "client_secret"
client_id = "service+raw%41"
secrets   = ["${{RAW}}"]
[callers.tester]
proof     = "client_secret"
client_id = "0oaTestClient"
secrets   = ["${{TEST_CLIENT}}"]

[callers.signer]
proof = "private_key_jwt"
keys = '''{signer}'''
audience = ["http://127.0.0.1:{port}/token"]
[callers.strict]
proof = "private_key_jwt"
keys = '''{signer}'''
[callers.hmac]
proof = "client_secret_jwt"
secrets = ["${{HMAC}}"]
audience = ["http://127.0.0.1:{port}/token"]

[callers.notes]
proof  = "hub_key"
key    = "{notes}"
secret = "${{NOTES}}"
[callers.trial]
proof       = "hub_key"
key         = "{trial}"
development = true
default     = "threads"
[callers.strangers]
proof  = "hub_key"
key    = "{strangers}"
secret = "${{NOTES}}"

[tokens.reports]
audience      = "https://api.example.com/reports"
scopes        = ["reports:read", "reports:write"]
default       = ["reports:read"]
introspectors = ["reports-api"]
[tokens.archive]
from     = "rs256"
audience = "https://api.example.com/archive"
scopes   = ["archive:read"]
[tokens.models]
from     = "ims"
audience = "https://models.example.com"
scopes   = ["itwin-platform", "itwins:read"]
[tokens.others]
from     = "other"
audience = "https://others.example.com"
scopes   = ["itwin-platform"]
[tokens.orders]
from     = "orders"
audience = "api://orders"
scopes   = ["such_scope"]
[tokens.returns]
from     = "orders"
audience = "api://returns"
scopes   = ["such_scope"]

[tokens.threads]
from     = "hub"
audience = "threads"
lifetime = "1h"
[tokens.signature]
upstream = "textile_userauth"
key      = "{notes}"
secret   = "${{NOTES}}"

[textile]
people     = "trial"
token      = "threads"
userauth   = "signature"
key_in_url = true

[[allow]]
caller = "notes"
token  = "threads"
[[allow]]
caller = "trial"
token  = "threads"
[[allow]]
caller = "trial"
token  = "signature"
[[allow]]
caller = "nightly"
token  = "reports"
scope  = "reports:read"
[[allow]]
caller = "*"
token  = "reports"
scope  = "reports:read"
[[allow]]
caller = "nightly"
token  = "archive"
scope  = "*"
[[allow]]
caller = "people"
client = "nightly"
claims = {{ permissions = "reports" }}
token  = "reports"
scope  = "reports:read"
[[allow]]
caller = "*"
token  = "models"
scope  = "*"
[[allow]]
caller = "service"
token  = "others"
scope  = "*"
[[allow]]
caller = "tester"
token  = "orders"
scope  = "such_scope"
[[allow]]
caller = "tester"
token  = "returns"
scope  = "such_scope"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The server, its friend, and the keys it signs with."""

    server: Tokenward
    friend: Issuer
    keys: dict[str, SigningKey]
    """Of our issuers, by name: for tokens that the server would not make."""

    native: str = ""
    """Where the hub speaks gRPC."""

    def issuer(self, name: str = "") -> str:
        """The URL of the issuer at this path."""
        return self.server.url + (f"/{name}" if name else "")

    def caller_token(self, **claims: object) -> str:
        """A token of the friend's, for one of its people who may read reports."""
        said = {"aud": US, "sub": "ann", "permissions": ["reports"]} | claims
        return self.server.ledger.token("a caller's token", self.friend.token(typ="JWT", **said))

    def token(self, client: tuple[str, str], endpoint: str, **form: str) -> str:
        """A token by client credentials, asked for without any of the clients tested here."""
        form = {"grant_type": "client_credentials", **form}
        with self.server.http() as http:
            answer = http.post(endpoint, data=form, auth=client)
        return str(answer.raise_for_status().json()["access_token"])

    def signed(
        self, issuer: str, token: str, *, by: SigningKey | None = None, **claims: object
    ) -> str:
        """A token like this one with other claims, signed with this issuer's own key or another."""
        key = by or self.keys[issuer]
        changed = claims_of(token) | claims
        return self.server.ledger.token("a made-up token", key.sign(changed, typ="at+jwt"))

    def forged(self, issuer: str, token: str) -> str:
        """A token that says all that this one says, but for who signed it."""
        key = self.keys[issuer]
        return self.signed(issuer, token, by=SigningKey.generate(key.algorithm, kid=key.kid))


def claims_of(token: str) -> dict[str, object]:
    """What a token says, believed without proof."""
    payload = token.split(".")[1]
    return dict(json.loads(urlsafe_b64decode(payload + "==")))


def tampered(token: str, **claims: object) -> str:
    """The same head and signature, around other claims."""
    head, _, signature = token.split(".")
    payload = json.dumps(claims_of(token) | claims).encode()
    return f"{head}.{urlsafe_b64encode(payload).decode().rstrip('=')}.{signature}"


def settings(friend: Issuer, port: int, native: int) -> dict[str, str]:
    """The files a server needs to be this one."""
    public = SIGNER.public_key()
    signer = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    text = SETTINGS.format(
        friend=friend.url,
        port=port,
        native=native,
        signer=signer,
        notes=NOTES[0],
        trial=TRIAL,
        strangers=STRANGERS,
    )
    return {CONFIG: text}


def private_jwk() -> dict[str, str]:
    """The key that ``signer`` signs with, as JavaScript likes it."""
    numbers = SIGNER.private_numbers()
    public = numbers.public_numbers
    said = {"d": numbers.private_value, "x": public.x, "y": public.y}
    encoded = {
        name: urlsafe_b64encode(value.to_bytes(32, "big")).decode().rstrip("=")
        for name, value in said.items()
    }
    return {"kty": "EC", "crv": "P-256", **encoded}


def secrets(ledger: Ledger) -> dict[str, str]:
    """The hashes of all secrets, which are entered, as the variables of the environment."""
    named = {
        "NIGHTLY": NIGHTLY,
        "REPORTS_API": REPORTS_API,
        "SERVICE": SERVICE,
        "AWKWARD": AWKWARD,
        "RAW": RAW,
        "TEST_CLIENT": TEST_CLIENT,
    }
    for client_id, secret in named.values():
        ledger.secret(f"the secret of {client_id}", secret)
    ledger.secret(f"the secret of {HMAC[0]}", HMAC[1])
    ledger.secret("the key of signer", private_jwk()["d"])
    ledger.secret("the secret of notes", NOTES[1])
    hashes = {name: hashed(secret) for name, (_, secret) in named.items()}
    return {**hashes, "HMAC": HMAC[1], "NOTES": NOTES[1]}
