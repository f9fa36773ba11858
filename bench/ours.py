"""tokenward as it is measured: the real program, a real configuration, its neighbours beside it.

Three issuers of ours, one for each algorithm; people whom an issuer next door vouches for; a token
of ours for each algorithm and one of an upstream's; audit to a file, SQLite on disk.

Law: nothing is switched off that an operator would have on.
"""

import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from string import Template

from bench import neighbours
from bench.processes import Cores, Program, free_port
from bench.requests import basic, post
from tokenward.jose.keys import SigningKey

ROOT = Path(__file__).parent.parent
SERVICE, API = "service", "api"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
PLACES = {"ES256": "", "EdDSA": "/eddsa", "RS256": "/rsa"}
"""The path of the issuer of each algorithm."""

LINGERS = 64 * 1024 * 1024
"""Bytes of audit trail after which the file is emptied, as those who rotate it do."""

CONFIG = Template("""\
store  = "sqlite://$folder/tokenward.db"
listen = "127.0.0.1:$port"
$top
[audit]
to = "$folder/audit.jsonl"

[issuers.main]
url = "http://127.0.0.1:$port"
[issuers.eddsa]
url       = "http://127.0.0.1:$port/eddsa"
algorithm = "EdDSA"
[issuers.rsa]
url       = "http://127.0.0.1:$port/rsa"
algorithm = "RS256"

[callers.mobile]
proof    = "jwt"
issuer   = "$neighbour"
audience = "$audience"
default  = "platform"
[callers.service]
proof       = "client_secret"
secrets     = ["$${SERVICE_SECRET_HASH}"]
grant_types = ["client_credentials", "token_exchange"]
[callers.guessed]
proof   = "client_secret"
secrets = ["$${GUESSED_SECRET_HASH}"]
[callers.api]
proof       = "client_secret"
secrets     = ["$${API_SECRET_HASH}"]
grant_types = []

[tokens.reports]
from          = "main"
audience      = "https://reports.example.com"
scopes        = { "reports:read" = "Read reports", "reports:write" = "Change reports" }
default       = ["reports:read"]
lifetime      = "$lifetime"
introspectors = ["api"]
[tokens.reports-eddsa]
from     = "eddsa"
audience = "https://eddsa.example.com"
scopes   = { "reports:read" = "Read reports" }
[tokens.reports-rsa]
from     = "rsa"
audience = "https://rsa.example.com"
scopes   = { "reports:read" = "Read reports" }
[tokens.platform]
upstream      = "client_credentials"
issuer        = "$neighbour"
client_id     = "$upstream_client"
client_secret = "$${UPSTREAM_SECRET}"
scopes        = { "itwin-platform" = "The iTwin Platform" }

[[allow]]
name   = "a client whose secret somebody tries to guess"
caller = "guessed"
token  = "reports"
scope  = "reports:read"
[[allow]]
name   = "people who may read models"
caller = "mobile"
claims = { permissions = "models:read" }
token  = "platform"
scope  = "itwin-platform"
[[allow]]
name   = "people read reports"
caller = "mobile"
claims = { permissions = "models:read" }
token  = "reports"
scope  = "reports:read"
[[allow]]
name   = "the service reads and writes reports"
caller = "service"
token  = "reports"
scope  = "reports:read reports:write"
[[allow]]
name   = "the service, signed with EdDSA"
caller = "service"
token  = "reports-eddsa"
scope  = "reports:read"
[[allow]]
name   = "the service, signed with RS256"
caller = "service"
token  = "reports-rsa"
scope  = "reports:read"
$more""")


@dataclass(slots=True, kw_only=True)
class Ours:
    """One tokenward, its neighbours, and whatever one needs to ask it."""

    folder: Path
    cores: Cores
    lifetime: str = "15m"
    """Of the tokens it mints."""

    top: str = ""
    """What else stands at the top of its configuration."""

    more: str = ""
    """What else stands at its end."""

    variables: dict[str, str] = field(default_factory=dict, repr=False)
    """What that refers to."""

    arguments: tuple[str, ...] = ()
    """What follows ``tokenward serve``."""

    port: int = field(default_factory=free_port)
    neighbour_port: int = field(default_factory=free_port)
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    api_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    upstream_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    keys: dict[str, SigningKey] = field(default_factory=dict, repr=False)
    """Of the issuer next door, by algorithm."""

    program: Program = field(init=False)
    next_door: Program = field(init=False)
    emptied: int = 0
    """Bytes of audit trail that are no longer in the file."""

    def __post_init__(self) -> None:
        self.program = Program(
            name="tokenward",
            command=[sys.executable, "-P", "-m", "tokenward", "serve", *self.arguments],
            folder=self.folder / "tokenward",
            cores=self.cores.server,
            environ=self.environ,
        )
        self.next_door = Program(
            name="the issuer and upstream beside it",
            command=[
                *(sys.executable, "-m", "bench.neighbours"),
                *(str(self.neighbour_port), self.folder / "keys", self.upstream_secret),
            ],
            folder=self.folder / "neighbours",
            cores=self.cores.load,
            environ={"PYTHONPATH": str(ROOT)},
        )

    @property
    def environ(self) -> Mapping[str, str]:
        """The secrets that the configuration refers to."""
        return {
            "SERVICE_SECRET_HASH": _hashed(self.secret),
            "API_SECRET_HASH": _hashed(self.api_secret),
            "GUESSED_SECRET_HASH": _hashed(secrets.token_urlsafe(32)),
            "UPSTREAM_SECRET": self.upstream_secret,
        }

    @property
    def neighbour(self) -> str:
        """The issuer next door."""
        return f"http://127.0.0.1:{self.neighbour_port}/"

    @property
    def config(self) -> str:
        """Its ``tokenward.toml``."""
        return CONFIG.substitute(
            folder=self.program.folder,
            port=self.port,
            top=self.top,
            more=self.more,
            neighbour=self.neighbour,
            audience=neighbours.AUDIENCE,
            upstream_client=neighbours.CLIENT,
            lifetime=self.lifetime,
        )

    def prepare(self) -> None:
        """Make keys and configuration, and start the neighbours."""
        kept = self.folder / "keys"
        kept.mkdir(parents=True, exist_ok=True)
        for number, algorithm in enumerate(("RS256", "ES256")):
            self.keys[algorithm] = SigningKey.generate(algorithm)
            file = kept / f"{number}-{algorithm}"  # the sample's server takes the first
            file.touch(mode=0o600)
            file.write_bytes(self.keys[algorithm].to_bytes())
        self.program.environ = {**self.program.environ, **self.variables}
        self.program.folder.mkdir(parents=True, exist_ok=True)
        (self.program.folder / "tokenward.toml").write_text(self.config)
        self.next_door.start()
        self.next_door.wait_for(self.neighbour_port)

    def start(self) -> None:
        """Start all of it, and wait until it answers."""
        self.prepare()
        self.program.start()
        self.program.wait_for(self.port)

    def stop(self) -> int:
        """Stop all of it; the server's exit code."""
        code = self.program.stop()
        self.stop_neighbours()
        return code

    def stop_neighbours(self) -> None:
        """Stop the issuer and upstream beside it."""
        self.next_door.stop()

    def caller(self, who: str, algorithm: str = "RS256", **more: object) -> str:
        """A token of somebody next door."""
        return neighbours.caller(self.keys[algorithm], self.neighbour, who, **more)  # type: ignore[arg-type]  # claims

    # ── what it keeps ──

    @property
    def trail(self) -> int:
        """Bytes of audit trail so far. A file that has become long is emptied."""
        file = self.program.folder / "audit.jsonl"
        size = file.stat().st_size
        if size > LINGERS:
            with file.open("r+b") as opened:
                opened.truncate(0)
            self.emptied += size
            size = 0
        return self.emptied + size

    @property
    def database(self) -> int:
        """Bytes of the database on disk, with what has not been folded in yet."""
        return sum(path.stat().st_size for path in self.program.folder.glob("tokenward.db*"))

    # ── how it is asked ──

    def client_credentials(self, algorithm: str = "ES256") -> bytes:
        """POST /token: a client asks for itself."""
        form = {"grant_type": "client_credentials", "scope": "reports:read"}
        return post(f"{PLACES[algorithm]}/token", form, basic(SERVICE, self.secret))

    def exchange(self, token: str, audience: str = "reports") -> bytes:
        """POST /token: a client exchanges somebody's token (RFC 8693)."""
        form = {
            "grant_type": EXCHANGE,
            "subject_token": token,
            "subject_token_type": JWT,
            "audience": audience,
        }
        return post("/token", form, basic(SERVICE, self.secret))

    def introspection(self, token: str) -> bytes:
        """POST /introspect: an API asks about a token it was shown."""
        return post("/introspect", {"token": token}, basic(API, self.api_secret))

    def revocation(self, token: str) -> bytes:
        """POST /revoke: the client takes a token of its own back."""
        return post("/revoke", {"token": token}, basic(SERVICE, self.secret))


def _hashed(secret: str) -> str:
    return "sha256:" + sha256(secret.encode()).hexdigest()
