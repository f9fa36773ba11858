"""Every mistake that can be told before a port opens: once, with its place, and all together."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenward.server.config import ConfigError, Problem, Report
from tokenward.server.settings import Settings, load
from tokenward.server.settings.lines import TomlPlaces
from tokenward.server.settings.whole import read

HASH = "sha256:" + "0" * 64
KEY = "A" * 43
ENVIRON = {"SECRET": "hunter2-hunter2", "EMPTY": "", "HASH": HASH}

GOOD = f"""
store = "sqlite:t.db"
# top
[issuers.main]
url = "https://tokens.example.com"
[issuers.ims]
url = "https://tokens.example.com/ims"
profile = "ims"

[callers.mobile]
proof = "jwt"
issuer = "https://dev-x.us.auth0.com/"
audience = "the-api"
[callers.ci]
proof = "jwt"
issuer = "https://token.actions.githubusercontent.com"
audience = "https://tokens.example.com"
[callers.nightly]
proof = "client_secret"
secrets = ["{HASH}"]
[callers.app]
proof = "none"
[callers.reader]
proof = "client_secret"
secrets = ["${{HASH}}"]
grant_types = []

[tokens.reports]
audience = "https://api.example.com/reports"
scopes = {{ "reports:read" = "Read", "reports:write" = "Write" }}
default = "reports:read"
introspectors = ["reader"]
[tokens.models]
from = "ims"
audience = "models"
scopes = "models:read"
[tokens.itwin]
upstream = "client_credentials"
issuer = "https://ims.bentley.com"
client_id = "us"
client_secret = "${{SECRET}}"
scopes = ["itwin-platform"]
[tokens.plain]
upstream = "client_credentials"
issuer = "https://ims.bentley.com"
client_id = "us"
client_secret = "${{SECRET}}"

[[allow]]
name = "people"
caller = "mobile"
claims = {{ permissions = "models:read" }}
token = "itwin"
scope = "itwin-platform"
[[allow]]
name = "robots"
caller = "nightly"
token = "reports"
scope = "reports:read"
[[allow]]
name = "models"
caller = "nightly"
token = "models"
scope = "*"
[[allow]]
name = "deployments"
caller = "ci"
claims = {{ repository = "acme/app" }}
token = "plain"
# end
"""

PEOPLE = 'claims = { permissions = "models:read" }'
ROBOTS = 'name = "robots"'
DEPLOYMENTS = 'claims = { repository = "acme/app" }'


def written(folder: Path, edits: tuple[tuple[str, str], ...]) -> Path:
    source = GOOD
    for old, new in edits:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    path = folder / "tokenward.toml"
    path.write_text(source)
    return path


def told(folder: Path, *edits: tuple[str, str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, edits), ENVIRON)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(caught.value)
    return [str(problem) for problem in caught.value.problems]


def test_the_file_without_mistakes_has_none(tmp_path):
    loaded = load(written(tmp_path, ()), ENVIRON)
    assert isinstance(loaded, Settings)
    assert loaded.warnings == ()


ISSUER, OTHER = 'issuer = "https://idp.example"', 'issuer = "https://other.example"'
HTTP = 'issuer = "http://idp.example"'
AUD = 'audience = "us"'


def asked(*settings: str, name: str = "x") -> str:
    """An issuer that is asked about its tokens."""
    who = 'client_id = "us"\nclient_secret = "${SECRET}"'
    return f'[callers.{name}]\nproof = "introspection"\n{who}\n' + "\n".join(settings) + "\n"


def add(text: str) -> tuple[str, str]:
    """Something more, in tables of its own."""
    return ("# end", text)


def top(text: str) -> tuple[str, str]:
    return ("# top", text)


def secret(more):
    return NIGHTLY, f'secrets = [{{ hash = "{HASH}", {more} }}]'


def after(line: str, text: str) -> tuple[str, str]:
    """One more key below this line."""
    return (line, f"{line}\n{text}")


IMS = 'profile = "ims"'
SIGNER = 'signer = "pkcs11", module = "m.so", token = "t", pin = "${SECRET}"'
AUTH0 = 'issuer = "https://dev-x.us.auth0.com/"'
APP = 'proof = "none"'
NIGHTLY = f'secrets = ["{HASH}"]'
REPORTS = 'default = "reports:read"'
MAIN_URL = 'url = "https://tokens.example.com"'
ITWIN = 'scopes = ["itwin-platform"]'
PLAIN = 'token = "plain"'
READERS = 'introspectors = ["reader"]'
OTHER_TOKEN = '[tokens.other]\nupstream = "client_credentials"\nissuer = "https://x.example.com"\n'
OTHER_TOKEN += 'client_id = "us"\nclient_secret = "${SECRET}"\n'
LASTING = '[tokens.x]\nupstream = "refresh_token"\ntoken_endpoint = "https://x.example/token"\n'
LASTING += 'client_id = "us"\nauth = "none"\nrefresh_token = "${SECRET}"\n'
OTHER_PEOPLE = f'[callers.other]\nproof = "jwt"\n{AUTH0}\n'

ERRORS = [
    # the top of the file
    (top('stroe = "memory:"'), "stroe", 'did you mean "store"?'),
    (top('listen = "8080"'), "listen", "must be an address and a port"),
    (top('listen = "127.0.0.1:65536"'), "listen", "must be a port"),
    (top("listen = 8080"), "listen", "must be a string"),
    (('"sqlite:t.db"', '"sqlit:t.db"'), "store", "is no store we know"),
    (('"sqlite:t.db"', '"postgres://u:hunter2@db/t"'), "store", "needs an encryption_key"),
    (('"sqlite:t.db"', '"postgres://u:hunter%2@db/t"'), "store", "libpq cannot read this URL"),
    (('"sqlite:t.db"', "3"), "store", "must be a string"),
    (('"sqlite:t.db"', '"redis://:hunter2@h"'), "store", "can only be the cache"),
    (top('cache = "memory:"'), "cache", "is no cache we know"),
    (top('cache = "redis://:hunter2@h:port"'), "cache", "cannot be read"),
    (top('encryption_key = "${SECRET}"'), "encryption_key", "32 bytes in base64url"),
    (top(f'encryption_key = "{KEY} short"'), "encryption_key", "the new one first"),
    (top(f'encryption_key = "{KEY}"\nencryption_key_file = "k"'), "_file", "are two keys"),
    (top("audit = 3"), "audit", "must be a table"),
    (top('audit = { to = "" }'), "audit.to", 'must be "stdout" or the path of a file'),
    (top('audit = "before"'), "audit.mode", "needs a file: say to ="),
    (top('audit = { mode = "beside" }'), "audit.mode", 'must be one of "behind"'),
    (top('issuer = "https://x.example.com"'), "issuer", "is short for [issuers.main]"),
    # limits
    (add('[limits]\naddress = "fast"'), "limits.address", "must be a rate such as"),
    (add('[limits]\naddress = "0/s"'), "limits.address", "must be a rate such as"),
    (add('[limits]\naddress = "10/0s"'), "limits.address", "must be a rate such as"),
    (add('[limits]\naddress = "10/s burst 0"'), "limits.address", "must be a rate such as"),
    (add('[limits]\naddress = "10 /s"'), "limits.address", "must be a rate such as"),
    (add('[limits]\naddress = "1e3/s"'), "limits.address", "must be a rate such as"),
    (add("[limits]\nclient = 10"), "limits.client", "must be a rate such as"),
    (add('[limits]\nadress = "10/s"'), "limits.adress", "is not a key of this table"),
    (after(NIGHTLY, 'limit = "often"'), "callers.nightly.limit", "must be a rate such as"),
    (after(AUTH0, "limit = 3"), "callers.mobile.limit", "must be a rate such as"),
    # issuers
    (after(IMS, 'keys = "pkcs11"'), "issuers.ims.keys", "must be a table"),
    (after(IMS, "keys = {}"), "issuers.ims.keys.signer", "is missing"),
    (after(IMS, 'keys = { signer = "pkcs12" }'), "ims.keys.signer", 'did you mean "pkcs11"'),
    (after(IMS, 'keys = { signer = "json:JSONDecoder" }'), "ims.keys.signer", "is no signer"),
    (
        after(IMS, f"keys = {{ {SIGNER}, slot = 3 }}"),
        "issuers.ims.keys.slot",
        "its keys are: label, module, pin, signer, token",
    ),
    (
        after(IMS, 'keys = { signer = "pkcs11", module = "m.so", pin = "${SECRET}" }'),
        "issuers.ims.keys.token",
        "is missing",
    ),
    (
        after(IMS, f'algorithm = "EdDSA"\nkeys = {{ {SIGNER} }}'),
        "issuers.ims.keys.signer",
        "cannot sign with EdDSA",
    ),
    ((MAIN_URL, "#"), "issuers.main.url", "is missing"),
    ((MAIN_URL, 'url = ""'), "issuers.main.url", "is empty"),
    ((MAIN_URL, 'url = "tokens.example.com"'), "issuers.main.url", "must be an absolute URL"),
    ((MAIN_URL, 'url = "ftp://tokens.example.com"'), "issuers.main.url", "must be an absolute URL"),
    ((MAIN_URL, 'url = "https://"'), "issuers.main.url", "must be an absolute URL"),
    ((MAIN_URL, 'url = "https://x.example.com?a=b"'), "main.url", "neither query nor fragment"),
    ((MAIN_URL, 'url = "https://x.example.com#"'), "main.url", "neither query nor fragment"),
    ((MAIN_URL, 'url = "https://a:b@x.example.com"'), "main.url", "neither a user nor"),
    ((MAIN_URL, 'url = "https://x.example.com/a b"'), "main.url", "characters that belong in no"),
    ((MAIN_URL, 'url = "https://x.example.com/é"'), "main.url", "must be written in ASCII"),
    ((MAIN_URL, 'url = "HTTPS://x.example.com"'), "main.url", "its scheme in lower case"),
    ((MAIN_URL, 'url = "https://x.example.com:x"'), "main.url", "is no URL"),
    ((MAIN_URL, 'url = "https://[x"'), "main.url", "is no URL"),
    (
        ('"https://tokens.example.com/ims"', '"https://tokens.example.com"'),
        "issuers.ims.url",
        "is the URL of issuers.main already",
    ),
    (after(IMS, 'algorithm = "HS256"'), "issuers.ims.algorithm", 'one of "ES256", "RS256"'),
    ((IMS, 'profile = "imz"'), "issuers.ims.profile", 'did you mean "ims"?'),
    ((IMS, 'profile = "hubb"'), "issuers.ims.profile", 'did you mean "hub"?'),
    ((IMS, "profile = 3"), "issuers.ims.profile", "must be a name, not a number"),
    (
        after(IMS, "color = 3"),
        "issuers.ims.color",
        "its keys are: algorithm, client_secret_jwt, keys, profile",
    ),
    # callers
    (add("[callers.x]\n"), "callers.x.proof", "one of: api_key, certificate, client_secret"),
    (add('[callers.x]\nproof = "jwtt"'), "callers.x.proof", 'did you mean "jwt"?'),
    (add("[callers.x]\nproof = 3"), "callers.x.proof", "must be a name, not a number"),
    (add('[callers.x]\nproof = "private_key_jwt"'), "callers.x", "either keys or jwks_uri"),
    (add('[callers.x]\nproof = "private_key_jwt"\nkeys = []'), "callers.x.keys", ""),
    (
        add('[callers.x]\nproof = "private_key_jwt"\njwks_uri = "http://a.example/k"'),
        "callers.x.jwks_uri",
        "must be https",
    ),
    (
        add(
            '[callers.x]\nproof = "private_key_jwt"\njwks_uri = "https://a.example/k"\n'
            'algorithms = ["HS256"]'
        ),
        "callers.x.algorithms",
        "HS256: not one of",
    ),
    (
        add('[callers.x]\nproof = "client_secret_jwt"\nsecrets = ["tiny!"]'),
        "callers.x.secrets",
        "shorter than 32 bytes",
    ),
    (add('[callers.x]\nproof = "tls_client_auth"'), "callers.x", "exactly one of"),
    (
        add(
            '[callers.x]\nproof = "tls_client_auth"\ntls_client_auth_san_dns = "a"\n'
            'tls_client_auth_subject_dn = "CN=a"'
        ),
        "callers.x",
        "exactly one of",
    ),
    (
        add('[callers.x]\nproof = "tls_client_auth"\ntls_client_auth_subject_dn = "a"'),
        "callers.x.tls_client_auth_subject_dn",
        "not a name like",
    ),
    (
        add('[callers.x]\nproof = "tls_client_auth"\ntls_client_auth_san_ip = "a"'),
        "callers.x.tls_client_auth_san_ip",
        "not an IP address",
    ),
    (
        add('[callers.x]\nproof = "self_signed_tls_client_auth"\ncertificates = ["x"]'),
        "callers.x.certificates",
        "no certificate in PEM",
    ),
    (add("[proxy]\ntrusted = []"), "proxy.trusted", "at least one"),
    (add('[proxy]\ntrusted = ["x"]'), "proxy.trusted", "neither an address nor a network"),
    (add('[proxy]\ntrusted = ["0.0.0.0/0"]'), "proxy.trusted", "everybody would be a proxy"),
    (
        add('[proxy]\ntrusted = ["10.0.0.1"]\ncertificate_header = "Authorization"'),
        "proxy.certificate_header",
        "a header of its own",
    ),
    (add('[callers.x]\nproof = "key"'), "x.keys", "without them nobody can come"),
    (add(asked("")), "x.issuer", "is missing"),
    (add(asked(ISSUER)), "x.audience", "any token of that issuer would do"),
    (add(asked(ISSUER, AUD, 'auth = "none"')), "x.auth", ""),
    (add(asked(HTTP, AUD)), "x.issuer", "it must be https"),
    (
        add(asked(ISSUER, AUD, 'introspection_endpoint = "http://idp.example/i"')),
        "x.introspection_endpoint",
        "it must be https",
    ),
    (add(asked(ISSUER, AUD, 'token_prefix = "é__"')), "x.token_prefix", "no token has"),
    (add(asked(ISSUER, AUD, 'token_prefix = "x_"')), "x.token_prefix", "fewer than 3"),
    (add(asked(ISSUER, AUD, 'token_prefix = "twk_x"')), "x.token_prefix", "keys of this server"),
    (add(asked(ISSUER, AUD, 'remember = "1h"')), "x.remember", 'between "0s" and "5m"'),
    (
        add(asked(ISSUER, AUD) + asked(OTHER, AUD, 'token_prefix = "abc"', name="y")),
        "x.token_prefix",
        "nobody's token may be shown to another's issuer",
    ),
    (
        add(
            asked(ISSUER, AUD, 'token_prefix = "abc"')
            + asked(OTHER, AUD, 'token_prefix = "abcd"', name="y")
        ),
        "y.token_prefix",
        "also begins tokens of callers.x",
    ),
    (add(f'[callers."x|y"]\n{APP}'), 'callers."x|y"', 'must have no "|" in its name'),
    (add(f'[callers."x\\ny"]\n{APP}'), 'callers."x\\ny"', "no control characters"),
    (add(f'[callers." x"]\n{APP}'), 'callers." x"', "without blanks around it"),
    (add(f'[callers.""]\n{APP}\nclient_id = "x"'), 'callers.""', "must have a name"),
    (add(f'[callers."*"]\n{APP}'), 'callers."*"', "is a name that rules have for others"),
    (add(f"[callers.users]\n{APP}"), "callers.users", "is a name that rules have for others"),
    (add(f'[callers."é"]\n{APP}'), 'callers."\\u00e9"', "must be ASCII to be a client_id"),
    (after(APP, 'client_id = "nightly"'), "app.client_id", "belongs to callers.nightly already"),
    (after(APP, 'client_id = "mobile"'), "app.client_id", "is the name of another caller"),
    (after(APP, 'client_id = "a|b"'), "app.client_id", 'must have no "|"'),
    (after(APP, 'client_id = "a\\tb"'), "app.client_id", "no control characters"),
    (after(APP, 'client_id = "é"'), "app.client_id", "must be ASCII"),
    (
        add(f'[callers.x]\n{APP}\nclient_id = "c"\n[callers.y]\n{APP}\nclient_id = "c"'),
        "callers.y.client_id",
        "belongs to callers.x already",
    ),
    ((NIGHTLY, "#"), "callers.nightly.secrets", "is missing"),
    ((NIGHTLY, "secrets = []"), "callers.nightly.secrets", "at least one is needed"),
    ((NIGHTLY, 'secrets = ["${SECRET}"]'), "callers.nightly.secrets", "not a hash such as"),
    ((NIGHTLY, "secrets = 7"), "callers.nightly.secrets", "must be a list of hashes"),
    ((NIGHTLY, "secrets = [7]"), "nightly.secrets[1]", "must be a table"),
    ((NIGHTLY, "secrets = [{}]"), "nightly.secrets[1]", "hash is missing"),
    ((NIGHTLY, 'secrets = [{ hash = "${SECRET}" }]'), "secrets[1].hash", "not a hash such as"),
    ((NIGHTLY, "secrets = [{ hash = 7 }]"), "secrets[1].hash", "must be a string"),
    (secret('expire = "x"'), "secrets[1].expire", 'did you mean "expires"?'),
    (secret('expires = "2027-01-01"'), "secrets[1].expires", "must be a time with its zone"),
    (secret("expires = 2027-01-01"), "secrets[1].expires", "must be a time with its zone"),
    (secret("expires = 2027-01-01T00:00:00"), "secrets[1].expires", "with its zone"),
    (secret("expires = 1800000000"), "secrets[1].expires", "must be a time with its zone"),
    (secret('name = ""'), "secrets[1].name", "must be letters, digits, dots and dashes"),
    (secret('name = "a b"'), "secrets[1].name", "must be letters, digits, dots and dashes"),
    (secret("name = 7"), "secrets[1].name", "must be a string"),
    (
        (NIGHTLY, f'secrets = [{{ hash = "{HASH}", name = "ffffffff" }}, "{HASH[:7]}{"f" * 64}"]'),
        "nightly.secrets",
        "two of them have the same name",
    ),
    ((NIGHTLY, 'secrets = ["${SCERET}"]'), "nightly.secrets[1]", 'did you mean "SECRET"?'),
    ((NIGHTLY, 'secrets = ["${EMPTY}"]'), "nightly.secrets[1]", "EMPTY is set, but empty"),
    (after(NIGHTLY, 'client_secret = "x"'), "nightly.client_secret", "tokenward hash"),
    (
        after(NIGHTLY, 'token_endpoint_auth_method = "none"'),
        "auth_method",
        'proof = "client_secret"',
    ),
    (after(NIGHTLY, 'grant_types = ["implicit"]'), "grant_types[1]", "no such grant type"),
    (after(NIGHTLY, 'grant_types = "token_exchang"'), "grant_types", 'mean "token_exchange"?'),
    (after(NIGHTLY, 'grant_types = ["refresh_token"]'), "grant_types[1]", "later version"),
    (after(NIGHTLY, 'scope = "a\\\\b"'), "callers.nightly.scope", "RFC 6749 does not allow"),
    (after(NIGHTLY, 'default = "report"'), "nightly.default", 'did you mean "reports"?'),
    (after(APP, 'grant_types = ["client_credentials"]'), "app.grant_types", "proves nothing"),
    (after(APP, 'secrets = ["x"]'), "callers.app.secrets", "is not a key of this table"),
    (after(APP, 'origins = ["https://x.example.com/"]'), "app.origins[1]", "is no origin"),
    (after(APP, 'origins = ["https://*.example.com"]'), "app.origins[1]", "is no origin"),
    (after(APP, 'origins = "*"'), "app.origins", "is no origin"),
    (after(APP, 'origins = "null"'), "app.origins", "is no origin"),
    (after(APP, 'origins = "https://x.example.com:443"'), "app.origins", "is no origin"),
    (after(APP, 'origins = "https://X.example.com"'), "app.origins", "is no origin"),
    (after(AUTH0, 'preset = "gitlab"'), "mobile.preset", 'did you mean "gitlab_ci"?'),
    (after(AUTH0, 'default = "itvin"'), "callers.mobile.default", 'did you mean "itwin"?'),
    (after(AUTH0, "leeway = 10"), "callers.mobile.leeway", 'such as "30s"'),
    (after(AUTH0, 'leeway = "1h"'), "callers.mobile.leeway", "between 0 and 300 seconds"),
    (after(AUTH0, 'algorithms = ["HS256"]'), "mobile.algorithms", "not one of"),
    (after(AUTH0, 'subject = "rar"'), "callers.mobile.subject", 'did you mean "raw"?'),
    (after(AUTH0, "keys = []"), "callers.mobile.keys", "holds no key"),
    (after(AUTH0, 'jwks_uri = "http://x.example.com"'), "mobile.jwks_uri", "must be https"),
    ((AUTH0, 'issuer = "dev-x.us.auth0.com"'), "mobile.issuer", "must start with https://"),
    ((AUTH0, 'issuer = "http://dev-x.us.auth0.com/"'), "mobile.issuer", "must be https"),
    (('audience = "the-api"', "#"), "callers.mobile.audience", "is missing"),
    (('audience = "the-api"', 'audience = ""'), "callers.mobile.audience", "is empty"),
    (('audience = "the-api"', 'audiense = "the-api"'), "mobile.audiense", 'mean "audience"?'),
    (add(OTHER_PEOPLE + 'audience = "the-api"'), "other.issuer", "for the same audience already"),
    (
        (AUTH0, f'{AUTH0}\nsubject = "raw"\naudience = "x"\n{OTHER_PEOPLE}subject = "raw"'),
        "callers.other.subject",
        "callers.mobile has raw subjects already",
    ),
    # tokens
    (add("[tokens.x]\n"), "tokens.x.audience", "is missing"),
    (add('[tokens.x]\naudience = ""'), "tokens.x.audience", "is empty"),
    (add('[tokens.x]\naudience = "x"\nfrom = "mian"'), "tokens.x.from", 'did you mean "main"?'),
    (add('[tokens.x]\naudience = "models"'), "tokens.x.audience", "is the name of tokens.models"),
    (
        add('[tokens.x]\naudience = "https://api.example.com/reports"'),
        "tokens.x.audience",
        "is the audience of tokens.reports already",
    ),
    (
        add(OTHER_TOKEN + 'audience = "https://api.example.com/reports"'),
        "tokens.other.audience",
        "is the audience of tokens.reports already",
    ),
    (add('[tokens.x]\naudience = "x"\nfrom = "ims"'), "tokens.x.scopes", "are needed"),
    (add('[tokens."x|y"]\naudience = "x"'), 'tokens."x|y"', 'must have no "|"'),
    (after(REPORTS, 'lifetime = "4s"'), "reports.lifetime", 'between "5s" and "24h"'),
    (after(REPORTS, 'lifetime = "25h"'), "reports.lifetime", 'between "5s" and "24h"'),
    (after(REPORTS, "lifetime = 900"), "reports.lifetime", 'such as "30s", "15m"'),
    (after(REPORTS, 'min_life = "2m"'), "reports.min_life", "is for fetched tokens"),
    (after(REPORTS, 'scope_check = "off"'), "reports.scope_check", "is for fetched tokens"),
    (after(REPORTS, 'issuer = "main"'), "reports.issuer", 'one of ours says from = "main"'),
    (after(REPORTS, 'client_id = "x"'), "reports.client_id", 'upstream = "client_credentials"'),
    (
        after(REPORTS, 'client_id = "x"\nclient_secret = "${SECRET}"'),
        "tokens.reports.upstream",
        "is missing, but client_id and client_secret are of a fetched token",
    ),
    ((REPORTS, 'default = "reports:reed"'), "reports.default", 'did you mean "reports:read"?'),
    ((READERS, 'introspectors = ["readr"]'), "reports.introspectors", 'mean "reader"?'),
    ((READERS, 'introspectors = ["mobile"]'), "reports.introspectors", '"mobile" is no client'),
    (('scopes = "models:read"', 'scopes = { "a b" = "" }'), 'scopes."a b"', "must be one scope"),
    (('scopes = "models:read"', "scopes = { a = 1 }"), "models.scopes.a", "must be a string"),
    (after(ITWIN, 'upstram = "x"'), "tokens.itwin.upstram", 'did you mean "upstream"?'),
    (after(ITWIN, 'from = "main"'), "tokens.itwin.from", "is for tokens of ours"),
    (after(ITWIN, 'lifetime = "5m"'), "tokens.itwin.lifetime", "is for tokens of ours"),
    (after(ITWIN, 'introspectors = "reader"'), "itwin.introspectors", "is for tokens of ours"),
    (after(ITWIN, 'scope_check = "of"'), "tokens.itwin.scope_check", 'one of "on", "off"'),
    (after(ITWIN, "scope_check = false"), "tokens.itwin.scope_check", 'one of "on", "off"'),
    (after(ITWIN, 'auth = "basic"'), "tokens.itwin.auth", 'must be one of "client_secret_basic"'),
    (after(ITWIN, 'token_endpoint = "https://x.example.com"'), "tokens.itwin", "exactly one of"),
    (add('[tokens.x]\nupstream = "client_credential"'), "x.upstream", 'mean "client_credentials"?'),
    (add(LASTING + LASTING.replace("tokens.x", "tokens.y")), "y.refresh_token", "tokens.x too"),
    (add(LASTING + 'revocation = "x"'), "tokens.x.revocation", '"revocation_endpoint"?'),
    (add(LASTING.replace("refresh_token =", "#")), "tokens.x.refresh_token", "is missing"),
    (add(LASTING.replace("${SECRET}", "")), "tokens.x.refresh_token", "is empty"),
    (add(LASTING.replace("${SECRET}", "a\u00e9")), "tokens.x.refresh_token", "characters"),
    (add(LASTING.replace("client_id", "#")), "tokens.x.client_id", "is missing"),
    (add(LASTING.replace('"us"', '""')), "tokens.x.client_id", "is empty"),
    (add(LASTING + 'revocation_endpoint = "http://x.example"'), "tokens.x", "must be https"),
    (add(LASTING + 'revocation_endpoint = "/revoke"'), "tokens.x", "must start with https"),
    (add(LASTING + 'lifetime = "5m"'), "tokens.x.lifetime", "is for tokens of ours"),
    (add(LASTING + 'parameters = { refresh_token = "x" }'), "tokens.x", "has its own meaning"),
    (add(LASTING + 'issuer = "https://x.example"'), "tokens.x", "exactly one of"),
    (add("[tokens.x]\nupstream = 3"), "tokens.x.upstream", "must be a name, not a number"),
    # rules
    ((ROBOTS, 'name = "people"'), "allow[2].name", "is the name of rule 1 already"),
    (after(ROBOTS, 'color = "x"'), "allow[2].color", "is not a key of this table"),
    (after(ROBOTS, 'client = "mobile"'), "allow[2].client", "is no client"),
    (after(ROBOTS, 'client = "nigtly"'), "allow[2].client", 'did you mean "nightly"?'),
    (after(ROBOTS, 'actor = "mobil"'), "allow[2].actor", 'did you mean "mobile"?'),
    (after(ROBOTS, 'grant_types = ["x"]'), "allow[2].grant_types[1]", "no such grant type"),
    (after(ROBOTS, 'lifetime = "1s"'), "allow[2].lifetime", 'between "5s" and "24h"'),
    (after(ROBOTS, "lifetime = 300"), "allow[2].lifetime", "must be a period"),
    (after(ROBOTS, 'claims = { sub = "x" }'), "allow[2].claims", "a client has no claims"),
    (('caller = "mobile"', 'caller = "mobil"'), "allow[1].caller", 'did you mean "mobile"?'),
    (('caller = "mobile"', 'caller = "*"'), "allow[1].claims", "a client has no claims"),
    (('caller = "mobile"', 'caller = ""'), "allow[1].caller", "is empty"),
    (('caller = "mobile"', "#"), "allow[1].caller", "is missing"),
    (('token = "itwin"', 'token = "itvin"'), "allow[1].token", 'did you mean "itwin"?'),
    (('token = "itwin"', "#"), "allow[1].token", "is missing"),
    (('scope = "itwin-platform"', "#"), "allow[1].scope", 'scope = "itwin-platform", or'),
    (('scope = "itwin-platform"', 'scope = ""'), "allow[1].scope", "is missing: which scopes"),
    (('scope = "itwin-platform"', 'scope = "itwin"'), "allow[1].scope", "has no itwin"),
    (('scope = "itwin-platform"', 'scope = "* x"'), "allow[1].scope", "has no * x"),
    (after(PLAIN, 'scope = "x"'), "allow[4].scope", "the token plain has no scopes"),
    ((PEOPLE, 'claims = "admin"'), "allow[1].claims", "must be a table"),
    ((PEOPLE, "claims = { a = { b = 1 } }"), "claims.a", '"a.b" = …'),
    ((PEOPLE, "claims = { a = {} }"), "claims.a", "must be no table"),
    ((PEOPLE, "claims = { a = [] }"), "claims.a", "must not be empty"),
    ((PEOPLE, "claims = { a = [[1]] }"), "claims.a", "not a list"),
    ((PEOPLE, "claims = { a = 1979-05-27 }"), "claims.a", "not a date or time"),
    ((PEOPLE, "claims = { a = inf }"), "claims.a", "a number that JSON has"),
    ((DEPLOYMENTS, "#"), "allow[4].claims", "must say whose repository"),
    ((DEPLOYMENTS, 'claims = { ref = "refs/heads/main" }'), "claims", "whose repository"),
    ((DEPLOYMENTS, 'claims = { repository = "*/app" }'), "claims", "whose repository"),
    ((DEPLOYMENTS, 'claims = { repository = "**" }'), "claims", "whose repository"),
    ((DEPLOYMENTS, 'claims = { repository_owner = "*" }'), "claims", "whose repository"),
    ((DEPLOYMENTS, 'claims = { repository = ["a/b", "*/b"] }'), "claims", "whose repository"),
    (
        (DEPLOYMENTS, "claims = { repository_owner_id = 4711 }"),
        "owner_id",
        "is a text in its tokens",
    ),
    ((DEPLOYMENTS, 'claims = { sub = "repo:*" }'), "claims", "whose repository"),
    ((DEPLOYMENTS, 'claims = { sub = "repo:ac*:ref:x" }'), "claims", "whose repository"),
]


@pytest.mark.parametrize(("edit", "place", "message"), ERRORS)
def test_a_mistake_is_told_once_with_its_place(tmp_path, edit, place, message):
    (problem,) = told(tmp_path, edit)
    assert problem.startswith("tokenward.toml:")
    assert place in problem.split(": ")[0]
    assert message in problem


@pytest.mark.parametrize(
    "claims",
    [
        'repository_owner = "acme"',
        'repository_owner_id = "4711"',
        'repository_id = "1"',
        'repository = "acme/*"',
        'repository = ["acme/a", "acme/b"]',
        'sub = "repo:acme/app:ref:refs/heads/main"',
        'sub = "repo:acme/*:**"',
    ],
)
def test_whose_repository_can_be_said_in_several_ways(tmp_path, claims):
    edit = (DEPLOYMENTS, f"claims = {{ {claims} }}")
    assert load(written(tmp_path, (edit,)), ENVIRON).warnings == ()


WARNINGS = [
    ((MAIN_URL, 'url = "http://x.example.com"'), "issuers.main.url", "is plain http"),
    (('"sqlite:t.db"', '"memory:"'), "store", "forgets the signing keys"),
    (after(IMS, 'algorithm = "ES256"'), "issuers.ims.algorithm", "know RS256 only"),
    (after(ITWIN, 'scope_check = "off"'), "tokens.itwin.scope_check", "even more than was"),
    (add(OTHER_TOKEN), "tokens.other", "nobody may have it"),
    (add(f'[callers.x]\nproof = "client_secret"\n{NIGHTLY}'), "callers.x", "may have nothing"),
    ((PEOPLE, "#"), "allow[1]", "is for anybody whom this issuer vouches for"),
    ((PEOPLE, 'client = "app"'), "allow[1]", "is for anybody whom this issuer vouches for"),
    (after(PEOPLE, 'lifetime = "5m"'), "allow[1].lifetime", "cannot be shortened"),
    (after(ROBOTS, 'lifetime = "1h"'), "allow[2].lifetime", "is longer than that of"),
    (
        add('[[allow]]\ncaller = "nightly"\ntoken = "reports"\nscope = "reports:read"'),
        "allow[5]",
        'is never reached: rule "robots" decides before it',
    ),
    (
        add(
            '[[allow]]\ncaller = "mobile"\ntoken = "itwin"\nscope = "*"\n'
            'claims = { permissions = "models:read", verified = true }'
        ),
        "allow[5]",
        'is never reached: rule "people" decides before it',
    ),
    (top('encryption_key = "' + KEY + '"'), "encryption_key", "is a secret"),
    (
        after(IMS, f"keys = {{ {SIGNER.replace('${SECRET}', 'hunter2')} }}"),
        "issuers.ims.keys.pin",
        "is a secret",
    ),
    (top('cache = "redis://:hunter2@localhost"'), "cache", "contains a password"),
    (
        (
            'client_id = "us"\nclient_secret = "${SECRET}"\nscopes',
            'client_id = "us"\nclient_secret = "hunter2"\nscopes',
        ),
        "itwin.client_secret",
        "is a secret",
    ),
]


@pytest.mark.parametrize(("edit", "place", "message"), WARNINGS)
def test_what_may_not_have_been_meant_is_warned_of_once(tmp_path, edit, place, message):
    loaded = load(written(tmp_path, (edit,)), ENVIRON)
    (warning,) = map(str, loaded.warnings)
    assert warning.startswith("tokenward.toml:")
    assert place in warning.split(": ")[0]
    assert message in warning
    assert "hunter2" not in warning


NO_WARNINGS = [
    # an issuer on this machine, for trying things out
    (MAIN_URL, 'url = "http://127.0.0.1:8080"'),
    (MAIN_URL, 'url = "http://localhost:8080/"'),
    # a client that only exchanges needs no rule of its own
    add(f'[callers.x]\nproof = "client_secret"\n{NIGHTLY}\ngrant_types = "token_exchange"'),
    # a client that has shown a secret stands for whom it brings
    (PEOPLE, 'client = "nightly"'),
    # later rules that allow more, or to others, or under other conditions
    add('[[allow]]\ncaller = "nightly"\ntoken = "reports"\nscope = "*"'),
    add('[[allow]]\ncaller = "*"\ntoken = "reports"\nscope = "reports:read"'),
    add('[[allow]]\ncaller = "mobile"\ntoken = "itwin"\nscope = "*"\nclaims = { a = true }'),
    after(ROBOTS, 'grant_types = ["client_credentials"]'),
    # one audience at two issuers is two tokens
    ('audience = "models"', 'audience = "https://api.example.com/reports"'),
]


@pytest.mark.parametrize("edit", NO_WARNINGS)
def test_what_may_well_be_meant_is_not_warned_of(tmp_path, edit):
    assert load(written(tmp_path, (edit,)), ENVIRON).warnings == ()


def test_two_fetched_tokens_may_have_one_audience_but_need_their_names(tmp_path):
    edits = (
        after(ITWIN, 'audience = "https://api.example.com/theirs"'),
        add(
            OTHER_TOKEN + 'audience = "https://api.example.com/theirs"\n'
            '[[allow]]\ncaller = "nightly"\ntoken = "other"'
        ),
    )
    (warning,) = map(str, load(written(tmp_path, edits), ENVIRON).warnings)
    assert "tokens.other.audience: is the audience of tokens.itwin too" in warning


def test_a_rule_for_all_clients_comes_before_one_for_a_client(tmp_path):
    edits = (
        ((ROBOTS, 'name = "all"')),
        add('[[allow]]\ncaller = "nightly"\ntoken = "reports"\nscope = "reports:read"'),
    )
    source = written(tmp_path, edits).read_text()
    source = source.replace('name = "all"\ncaller = "nightly"', 'name = "all"\ncaller = "*"')
    (tmp_path / "tokenward.toml").write_text(source)
    (warning,) = load(tmp_path / "tokenward.toml", ENVIRON).warnings
    assert 'rule "all" decides before it' in str(warning)


def test_a_token_of_ours_needs_somebody_we_are(tmp_path):
    source = GOOD[: GOOD.index("[issuers.main]")] + GOOD[GOOD.index("[callers.mobile]") :]
    path = tmp_path / "tokenward.toml"
    path.write_text(source.replace('from = "ims"', ""))
    with pytest.raises(ConfigError) as caught:
        load(path, ENVIRON)
    assert [problem.place.split()[1] for problem in caught.value.problems] == [
        "tokens.reports",
        "tokens.models",
    ]
    assert 'issuer = "https://tokens.example.com"' in caught.value.problems[0].hint


def test_of_several_issuers_one_must_be_named(tmp_path):
    (problem,) = told(tmp_path, ("[issuers.main]", "[issuers.first]"))
    assert "tokens.reports.from: is missing: there are several issuers" in problem
    assert "there is: first, ims" in problem


@pytest.mark.parametrize(
    ("source", "place", "message"),
    [
        ('a = 1\nb = "x', "tokenward.toml:2", "(at the end of the file)"),
        ("a = yes", "tokenward.toml:1:5", "is not TOML: invalid value"),
        ("a = 1\na = 2", "tokenward.toml:2", "is not TOML: cannot overwrite a value"),
        ("[a", "tokenward.toml:1", "is not TOML"),
        ("a = " + "[" * 100_000, "tokenward.toml", "is nested too deeply"),
        ('issuers = 3\nallow = "all"', "tokenward.toml:1 issuers", "must be a table"),
        ("[allow]\nx = 1", "tokenward.toml:1 allow", "must be a list of tables"),
        ("allow = [3]", "tokenward.toml:1 allow[1]", "must be a table"),
        ("[callers]\nx = 3", "tokenward.toml:2 callers.x", "must be a table: [callers.x]"),
        ("[tokens]\nx = 3", "tokenward.toml:2 tokens.x", "must be a table: [tokens.x]"),
        ("[issuers]\nx = 3", "tokenward.toml:2 issuers.x", "must be a table: [issuers.x]"),
        ("issuer = 3", "tokenward.toml:1 issuer", "must be a string"),
    ],
)
def test_a_file_of_another_shape_is_told(tmp_path, source, place, message):
    path = tmp_path / "tokenward.toml"
    path.write_text(source)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert caught.value.problems[0].place == place
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"a = '\xff'", "is not UTF-8 text")]
)
def test_a_file_that_cannot_be_read_is_told(tmp_path, content, message):
    path = tmp_path / "tokenward.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load(path, {})


def test_all_mistakes_come_at_once_in_the_order_of_the_file(tmp_path):
    problems = told(
        tmp_path,
        top("colour = 1"),
        (IMS, 'profile = "hubb"'),
        after(AUTH0, "leeway = 1"),
        (NIGHTLY, 'secrets = ["${GONE}"]'),
        after(REPORTS, 'lifetime = "1y"'),
        ('token = "itwin"', 'token = "itvin"'),
        (ROBOTS, 'name = "people"'),
    )
    assert [problem.split()[1].rstrip(":") for problem in problems] == [
        "colour",
        "issuers.ims.profile",
        "callers.mobile.leeway",
        "callers.nightly.secrets[1]",
        "tokens.reports.lifetime",
        "allow[1].token",
        "allow[2].name",
    ]


VOCABULARY = """
issuers callers tokens allow audit main mobile nightly reports proof jwt none client_secret issuer
audience secrets grant_types token_exchange scope scopes default lifetime upstream client_id url
client_credentials profile ims okta algorithm RS256 caller token claims name keys 15m * ** from
https://x.example.com http://localhost reports:read introspectors store memory: listen raw actor
127.0.0.1:1 origins subject client preset github_actions azure tenant google spiffe trust_domain
"""
WORDS = st.sampled_from(VOCABULARY.split())
VALUES = st.recursive(
    WORDS | st.text(max_size=5) | st.integers() | st.booleans() | st.floats() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["main", "mobile", "nightly", "reports", "a|b"])


def table(*keys: str):
    return st.dictionaries(st.sampled_from(keys) | WORDS, VALUES, max_size=6)


LIKELY = st.fixed_dictionaries(
    {},
    optional={
        "issuer": VALUES,
        "issuers": st.dictionaries(NAMES, table("url", "profile"), max_size=2) | VALUES,
        "callers": st.dictionaries(NAMES, table("proof", "issuer", "secrets"), max_size=3) | VALUES,
        "tokens": st.dictionaries(NAMES, table("audience", "scopes", "upstream")) | VALUES,
        "allow": st.lists(table("caller", "token", "scope", "claims"), max_size=3) | VALUES,
        "audit": VALUES,
        "store": VALUES,
        "listen": VALUES,
    },
)


def outcome(make) -> Settings | tuple[Problem, ...]:
    try:
        return make()
    except ConfigError as exc:
        return exc.problems


@settings(max_examples=300, deadline=None)
@given(LIKELY | st.dictionaries(WORDS, VALUES, max_size=5))
def test_whatever_a_file_says_is_settings_or_a_config_error(document):
    made = outcome(lambda: read(document, Report(places=TomlPlaces("x.toml"))))
    assert isinstance(made, Settings) or all(problem.message for problem in made)
    assert made


@given(st.text(alphabet='[]{}"=.$\n ax#', max_size=40))
def test_whatever_text_a_file_holds_is_settings_or_a_config_error(tmp_path_factory, source):
    path = tmp_path_factory.mktemp("any") / "tokenward.toml"
    path.write_text(source)
    made = outcome(lambda: load(path, {}))
    assert made
    assert not isinstance(made, Settings) or tomllib.loads(source) == {}
