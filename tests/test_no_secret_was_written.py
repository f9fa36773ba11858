"""Nothing secret is written by a server: the ledger that says so can tell, and a server obeys.

The ledger itself is looked through at the end of every session that ran servers, see ``leaks``.
"""

import json
import subprocess
import sys
from base64 import b64encode, encodebytes, urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.leaks import Leak, Ledger
from tests.running import CONFIG, Tokenward, free_port, hashed
from tests.servers import Issuer
from tests.stories.wire import send
from tests.upstream import Upstream, token
from tokenward.jose.keys import SigningKey
from tokenward.oauth.messages import JWT, JWT_BEARER, TOKEN_EXCHANGE

ROOT = Path(__file__).parents[1]
SECRET = 'a secret/with+all=that "needs" a\\word: Ä%20 {and} more'
CLIENT_SECRET = "nightly-Hq8ZxT4mWv6RbK2cLs9YdJ3NpGf7Ua"
UPSTREAM_SECRET = "upstream secret+/=% that must stay here Xw5Jn2"

WAYS = {
    "as it is": str.encode,
    "in base64": lambda it: b64encode(it.encode()),
    "in base64, after one byte": lambda it: b64encode(f":{it}".encode()),
    "in base64, after two bytes": lambda it: b64encode(f"id:{it}!".encode()),
    "in base64 for URLs": lambda it: urlsafe_b64encode(f"{it}~".encode()).rstrip(b"="),
    "in lines of base64": lambda it: encodebytes(f"{'before' * 9}{it}{'after' * 9}".encode()),
    "in an escaped string of them": lambda it: json.dumps(
        encodebytes(f"{'before' * 9}{it}".encode()).decode()
    ).encode(),
    "in a form": lambda it: urlencode({"client_secret": it}).encode(),
    "in a path": lambda it: quote(it).encode(),
    "as JavaScript encodes it": lambda it: quote(it, safe="!'()*").encode(),
    "percent-encoded in lower case": lambda it: quote(it, safe="").lower().encode(),
    "in Basic": lambda it: b64encode(f"nightly:{quote_plus(it)}".encode()),
    "in JSON": lambda it: json.dumps({"detail": it}).encode(),
    "in JSON of UTF-8": lambda it: json.dumps({"detail": it}, ensure_ascii=False).encode(),
    "in a repr": lambda it: repr({"detail": it}).encode(),
    "in hex": lambda it: it.encode().hex().encode(),
}


@pytest.fixture
def own():
    """A ledger of one's own, for secrets that will be written."""
    return Ledger()


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_found_however_it_is_written(own, tmp_path, way):
    text = SECRET.lower() if "lower" in way else SECRET
    own.secret("the secret", text)
    own.wrote(tmp_path / "stderr", b"before " + WAYS[way](text) + b" after")
    with pytest.raises(Leak, match="the secret") as leak:
        own.check()
    assert text not in str(leak.value)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_found_where_it_is_another_secret(own, tmp_path, way):
    own.secret("the secret", SECRET)
    own.wrote(tmp_path / "stderr", WAYS[way](SECRET.replace("all", "none")))
    assert own.found() == []


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_a_private_key_is_found_by_its_numbers(own, tmp_path, algorithm, encoding):
    private = SigningKey.generate(algorithm).private
    own.private_key("the key", private)
    own.wrote(
        tmp_path / "key", private.private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(Leak, match="the key"):
        own.check()


def test_the_public_half_of_a_key_is_no_secret(own, tmp_path):
    key = SigningKey.generate("RS256")
    own.private_key("the key", key.private)
    own.wrote(tmp_path / "jwks", json.dumps(key.public_jwk()).encode())
    assert own.found() == []


def test_a_token_is_found_by_its_signature_alone(own, tmp_path):
    token = SigningKey.generate("ES256").sign({"sub": "ann", "exp": 1_800_000_000})
    own.tokens("the token", {"said": [{"body": f"Bearer {token}"}]})
    own.wrote(tmp_path / "audit", token.rpartition(".")[0].encode())
    own.check()
    own.wrote(tmp_path / "audit", token.encode())
    with pytest.raises(Leak, match="the signature of the token, as it is"):
        own.check()


def test_a_secret_may_be_in_its_home_and_nowhere_else(own, tmp_path):
    own.secret("the secret", SECRET, home=tmp_path / "key")
    own.wrote(tmp_path / "key", SECRET.encode())
    own.check()
    own.wrote(tmp_path / "audit", SECRET.encode())
    with pytest.raises(Leak):
        own.check()


def test_nobody_is_cleared_by_looking_at_nothing(own, tmp_path):
    with pytest.raises(Leak, match="0 secrets looked for in 0 files"):
        own.check()
    own.secret("the secret", SECRET)
    own.wrote(tmp_path / "stderr", b"")
    with pytest.raises(Leak, match="1 secrets looked for in 0 files"):
        own.check()


def test_a_token_that_left_without_being_entered_is_missed(own, tmp_path):
    own.secret("the secret", SECRET)
    own.wrote(tmp_path / "stderr", b"ready")
    own.trail("server", b'{"token_sha256":"%s"}\n' % hashed("opaque-token")[7:].encode())
    with pytest.raises(Leak, match="1 tokens"):
        own.check()
    own.token("the token", "opaque-token")
    own.check()


def test_a_secret_too_short_to_be_looked_for_is_not_taken(own):
    with pytest.raises(AssertionError, match="too short"):
        own.secret("the secret", "12345")


SESSION = """
from tests.leaks import ledger


def test_a_server(ledger, tmp_path):
    ledger.secret("the secret", "correct horse battery")
    ledger.wrote(tmp_path / "stderr", b"{written}")
"""


@pytest.mark.parametrize(
    ("written", "code", "said"),
    [
        ("correct horse battery", 1, "the secret, as it is, in "),
        ("another horse battery", 0, "1 passed"),
        ("", 1, "1 secrets looked for in 0 files"),
    ],
)
def test_a_session_that_wrote_a_secret_has_failed(tmp_path, written, code, said):
    (tmp_path / "test_planted.py").write_text(SESSION.format(written=written))
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml", tmp_path]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, said in done.stdout) == (code, True), done.stdout


LEAKY = """
import os, sqlite3, sys
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import quote

from tokenward.oauth.messages import AccessToken

kept = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaky:
    client_secret: str = field(repr=False)

    def shared_by(self, authorization):
        return authorization.scope.tokens

    def flow(self, authorization, *, now):
        secret = self.client_secret
        print("asking with", secret, file=sys.stderr, flush=True)
        os.write(1, b'{"basic": "' + b64encode(b"id:" + secret.encode()) + b'"}\\n')
        with open(os.open("debug.log", os.O_CREAT | os.O_WRONLY, 0o600), "w") as log:
            log.write(quote(secret, safe=""))
        db = sqlite3.connect("tokenward.db")
        db.execute("CREATE TABLE notes (note)")
        db.execute("INSERT INTO notes VALUES (?)", [secret + "x" * 9000])
        db.commit()
        kept.append(db)
        return AccessToken(value="theirs-Lk5Tz8Vn", expires_at=now + 600)
        yield
"""

SETTINGS = """
issuer = "http://127.0.0.1:{port}"
listen = "127.0.0.1:{port}"
store  = "sqlite:tokenward.db"
audit  = {{ to = "{audit}" }}

[callers.nightly]
proof   = "client_secret"
secrets = ["${{NIGHTLY}}"]
grant_types = ["client_credentials", "token_exchange", "jwt_bearer"]
[callers.people]
proof    = "jwt"
issuer   = "{friend}"
audience = "api"

[tokens.reports]
audience      = "https://api.example.com/reports"
scopes        = ["reports:read"]
introspectors = ["nightly"]
[tokens.theirs]
{upstream}
client_secret = "${{UPSTREAM_SECRET}}"

[[allow]]
caller = "*"
token  = "reports"
scope  = "*"
[[allow]]
caller = "people"
token  = "theirs"
"""
BUILT_IN = """upstream = "client_credentials"
token_endpoint = "${UPSTREAM}"
client_id = "us"
"""
ENVIRON = {"NIGHTLY": hashed(CLIENT_SECRET), "UPSTREAM_SECRET": UPSTREAM_SECRET}


def enter(ledger):
    ledger.secret("the client's secret", CLIENT_SECRET)
    ledger.secret("the upstream's secret", UPSTREAM_SECRET)


def test_a_server_that_writes_a_secret_is_found_out(own, tmp_path):
    """A plug-in tells it to everybody: in the log, on the screen, in a file, in the database."""
    enter(own)
    with Issuer(SigningKey.generate("ES256")).serving() as friend:
        settings = SETTINGS.format(
            port=free_port(),
            audit="audit.jsonl",
            friend=friend.url,
            upstream='upstream = "leaky:Leaky"',
        )
        server = Tokenward(
            ledger=own,
            folder=tmp_path / "leaky",
            files={CONFIG: settings, "leaky.py": LEAKY},
            environ=ENVIRON,
        )
        server.start()
        with server.http() as http:
            shown = {"Authorization": f"Bearer {friend.token()}"}
            answer = http.get("/getToken?audience=theirs", headers=shown)
        server.stop()
    assert answer.text == "Bearer theirs-Lk5Tz8Vn"
    own.token("the upstream's token", "theirs-Lk5Tz8Vn")

    with pytest.raises(Leak) as leak:
        own.check()
    for where in "leaky/stderr", "leaky/stdout", "leaky/debug.log", "leaky/tokenward.db":
        assert f"in {where}" in str(leak.value)
    assert "in leaky/tokenward.db-wal" in str(leak.value)
    assert "the client's secret" not in str(leak.value)


def talk(server, theirs):
    """Use every endpoint as it is meant to be used; a token of ours."""
    pair, form = ("nightly", CLIENT_SECRET), {"grant_type": "client_credentials"}
    shown = {"Authorization": f"Bearer {theirs}"}
    exchange = {"grant_type": TOKEN_EXCHANGE, "subject_token": theirs, "subject_token_type": JWT}
    with server.http() as http:
        ours = http.post("/token", data=form | {"audience": "reports"}, auth=pair).json()
        posted = {"client_id": "nightly", "client_secret": CLIENT_SECRET}
        answers = [
            http.post("/token", data=form | posted | {"scope": "reports:read"}),
            http.post("/token", data=exchange | {"audience": "theirs"}, auth=pair),
            http.post("/token", data={"grant_type": JWT_BEARER, "assertion": theirs}),
            http.get("/getToken", headers=shown),
            http.post("/introspect", data={"token": ours["access_token"]}, auth=pair),
            http.post("/revoke", data={"token": ours["access_token"]}, auth=pair),
            http.get("/readyz"),
        ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    return ours["access_token"]


def put_into_wrong_places(url, *secrets):
    """Mistakes that people make; each is refused, and none is a reason to write it down."""
    form = "Content-Type: application/x-www-form-urlencoded"
    for secret in secrets:
        said, pair = quote(secret), b64encode(f"{secret}:nightly".encode()).decode()
        for path, *headers in [
            ("/getToken", f"Authorization: {secret}"),
            ("/getToken", f"Authorization: Bearer {secret}x"),
            ("/getToken", f"Authorization: Bearer {secret} {secret}"),
            ("/getToken", f"Authorization: Basic {pair}"),
            ("/getToken", f"Cookie: token={secret}", f"X-Api-Key: {secret}"),
            (f"/getToken?access_token={said}",),
            (f"/token?client_secret={said}",),
            (f"/{said}",),
        ]:
            assert send(url + path, *headers).status in {400, 401, 404, 405}
        for body, *headers in [
            (f"grant_type=client_credentials&client_id={said}&client_secret=nightly", form),
            (f"grant_type=client_credentials&client_secret={said}", form),
            (f"client_id=nightly&client_secret={said}", form),
            ("grant_type=client_credentials", form, f"Authorization: Basic {pair}"),
            ("grant_type=client_credentials", form, f"Authorization: Basic {secret}"),
            ("grant_type=client_credentials", form, f"Authorization: Bearer {secret}"),
            (f"grant_type={TOKEN_EXCHANGE}&subject_token=x&subject_token_type={said}", form),
            (f"grant_type={TOKEN_EXCHANGE}&subject_token={said}y&subject_token_type={JWT}", form),
            (json.dumps({"client_secret": secret}), "Content-Type: application/json"),
            (secret, form),
        ]:
            assert send(f"{url}/token", *headers, method="POST", body=body).status in {400, 401}


def test_a_server_keeps_to_itself_what_it_is_told(own, tmp_path):
    """Every endpoint is used, and secrets are sent to every wrong place as well."""
    enter(own)
    with Issuer(SigningKey.generate("ES256")).serving() as friend, Upstream() as upstream:
        upstream.always = token(access_token="theirs-Qv7Rk2XsBn")
        settings = SETTINGS.format(
            port=free_port(), audit="stdout", friend=friend.url, upstream=BUILT_IN
        )
        server = Tokenward(
            ledger=own,
            folder=tmp_path / "quiet",
            files={CONFIG: settings},
            environ=ENVIRON | {"UPSTREAM": upstream.token_endpoint},
        )
        server.start()
        theirs = own.token("a caller's token", friend.token())
        put_into_wrong_places(server.url, CLIENT_SECRET, theirs, talk(server, theirs))
        server.stop()
    own.token("the upstream's token", "theirs-Qv7Rk2XsBn")
    assert len(server.events(outcome="ok")) == 7
    assert len(server.events(outcome="refused")) > 30
    own.check()


def test_a_file_that_others_may_read_is_found_out(own, tmp_path):
    server = Tokenward(ledger=own, folder=tmp_path)
    for name in "stdout", "stderr", "audit.jsonl":
        (tmp_path / name).touch(mode=0o600)
    server._gather()
    (tmp_path / "audit.jsonl").chmod(0o640)
    with pytest.raises(AssertionError, match="others have access to audit"):
        server._gather()
