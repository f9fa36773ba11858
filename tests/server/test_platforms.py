"""Presets of upstreams: what each platform wants, as its own documentation says."""

import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.server.upstreams.granting import NOW, granted
from tests.server.upstreams.test_registration import certificate_of
from tests.upstream import Upstream
from tests.world import claims_of, header_of
from tokenward.remote.fetch import arun, open_async_client
from tokenward.server.config import ConfigError
from tokenward.server.platforms import PLATFORMS
from tokenward.server.settings import load

ISSUER = 'issuer = "https://tokens.example.com"\nstore = "sqlite:t.db"\n'


@pytest.fixture(scope="module")
def environ(rsa_keys):
    key = rsa_keys[2].private
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "kid-1",
        "private_key": pem,
        "client_email": "robot@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://evil.example.com/token",
    }
    return {
        "SECRET": "hunter2-hunter2",
        "KEY": pem,
        "CERTIFICATE": certificate_of(key),
        "ACCOUNT": json.dumps(account),
        "USER": json.dumps({**account, "type": "authorized_user"}),
        "HALF": json.dumps({"type": "service_account"}),
    }


@pytest.fixture
def read(tmp_path, environ):
    """The upstream of a table."""

    def loaded(table, top=""):
        path = tmp_path / "tokenward.toml"
        path.write_text(f"{top}[tokens.theirs]\n{table}\n")
        settings = load(path, environ)
        told = [str(it) for it in settings.warnings if "nobody may have" not in str(it)]
        assert [it for it in told if "forgets" not in it] == []
        return settings.tokens["theirs"]

    return loaded


OKTA = 'preset = "okta"\ndomain = "example.okta.com"\nclient_id = "us"\n'
ENTRA = 'preset = "entra"\ntenant = "contoso.onmicrosoft.com"\nclient_id = "us"\n'
GRAPH = 'scopes = ["https://graph.microsoft.com/.default"]\n'
AUTH0 = 'preset = "auth0"\ndomain = "example.eu.auth0.com"\nclient_id = "us"\n'
POOL = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/t"


def test_okta(read):
    own = read(OKTA + 'private_key = "${KEY}"\nkid = "k1"\nscopes = ["okta.users.read"]').upstream
    assert own.token_endpoint == "https://example.okta.com/oauth2/v1/token"
    assert own.method == "private_key_jwt"
    custom = read(OKTA + 'server = "default"\nclient_secret = "${SECRET}"').upstream
    assert custom.token_endpoint == "https://example.okta.com/oauth2/default/v1/token"
    assert custom.method == "client_secret_basic"
    exchange = read(
        OKTA + 'upstream = "token_exchange"\nserver = "default"\nclient_secret = "${SECRET}"'
    ).upstream
    assert exchange.forwards
    assert exchange.token_endpoint == custom.token_endpoint


def test_entra(read):
    secret = read(ENTRA + GRAPH + 'client_secret = "${SECRET}"').upstream
    at = "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
    assert (secret.token_endpoint, secret.method) == (at, "client_secret_post")
    key = read(ENTRA + GRAPH + 'private_key = "${KEY}"\ncertificate = "${CERTIFICATE}"').upstream
    header = header_of(key.signed(now=NOW))
    assert set(header) == {"alg", "typ", "x5t", "x5t#S256"}
    assert header["alg"] == "PS256"
    assert claims_of(key.signed(now=NOW))["aud"] == at


def test_entra_without_a_secret(read):
    keyless = ENTRA + GRAPH + 'assertion = "self"\nsub = "tokenward"\n'
    top = ISSUER.replace("issuer =", "[issuers.main]\nurl =").replace("store", "algorithm", 1)
    top = 'store = "sqlite:t.db"\n[issuers.main]\nurl = "https://tokens.example.com"\n'
    token = read(keyless, top + 'algorithm = "RS256"\n')
    assert token.signs == "main"
    assert token.upstream.aud == "api://AzureADTokenExchange"
    with pytest.raises(ConfigError, match="entra does not believe ES256") as caught:
        read(keyless, top)
    assert "tokens.theirs.assertion" in str(caught.value)
    assert "one of: PS256, RS256" in str(caught.value)


def test_entra_on_behalf_of(read):
    obo = read(
        ENTRA + 'upstream = "jwt_bearer"\nclient_secret = "${SECRET}"\n'
        'scopes = ["https://graph.microsoft.com/user.read"]'
    ).upstream
    assert obo.forwards
    assert obo.parameters == {"requested_token_use": "on_behalf_of"}
    assert obo.method == "client_secret_post"


def test_auth0(read):
    upstream = read(AUTH0 + 'client_secret = "${SECRET}"\naudience = "https://api"').upstream
    assert (upstream.issuer, upstream.method) == (
        "https://example.eu.auth0.com/",
        "client_secret_post",
    )
    more = 'private_key = "${KEY}"\naudience = "https://api"\nparameters = { organization = "o" }'
    key = read(AUTH0 + more).upstream
    assert claims_of(key.signed(now=NOW))["aud"] == "https://example.eu.auth0.com/"
    assert key.parameters == {"organization": "o"}


async def test_google_with_the_key_of_a_service_account(read):
    with Upstream() as theirs:
        upstream = read(
            'preset = "google"\nservice_account = "${ACCOUNT}"\nsub = "ann@example.com"\n'
            f'token_endpoint = "{theirs.token_endpoint}"\nscopes = ["https://a/b"]'
        ).upstream
        async with open_async_client() as http:
            await arun(upstream.flow(granted("https://a/b"), now=NOW), http)
        form = theirs.questions[0].form
    assert set(form) == {"grant_type", "assertion"}
    said = claims_of(form["assertion"])
    assert (said["iss"], said["sub"]) == ("robot@p.iam.gserviceaccount.com", "ann@example.com")
    assert (said["scope"], said["aud"]) == ("https://a/b", theirs.token_endpoint)
    assert header_of(form["assertion"]) == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}


def test_google_decides_where_the_key_is_shown_and_not_its_file(read):
    upstream = read('preset = "google"\nservice_account = "${ACCOUNT}"').upstream
    assert upstream.token_endpoint == "https://oauth2.googleapis.com/token"
    assert "sub" not in claims_of(upstream.signed(now=NOW))


def test_google_without_a_key(read):
    token = read(f'preset = "google"\naudience = "{POOL}"\nsub = "tokenward"', ISSUER)
    upstream = token.upstream
    assert (token.signs, upstream.signs_grant, upstream.forwards) == ("main", True, False)
    assert upstream.token_endpoint == "https://sts.googleapis.com/v1/token"
    assert (upstream.subject_token_type, upstream.aud) == ("jwt", f"https:{POOL}")


def test_itwin(read):
    token = read('preset = "itwin"\nclient_id = "us"\nclient_secret = "${SECRET}"')
    assert token.upstream.issuer == "https://ims.bentley.com"
    assert set(token.scopes) == {"itwin-platform"}


@pytest.mark.parametrize(
    ("table", "place", "says"),
    [
        ('preset = "octa"', "theirs.preset", 'did you mean "okta"?'),
        ("preset = 7", "theirs.preset", "there is no such preset"),
        ('preset = "okta"\nclient_id = "us"', "theirs.domain", "is missing"),
        (OKTA.replace("example", "https://example"), "theirs.domain", "must be a host alone"),
        (OKTA.replace("example.", "example/"), "theirs.domain", "must be a host alone"),
        (OKTA + 'client_secret = "${SECRET}"', "theirs.client_secret", "takes private_key alone"),
        (OKTA + 'server = "a/b"', "theirs.server", "must be an id"),
        (OKTA + 'servr = "default"\nprivate_key = "${KEY}"', "theirs.servr", "is not a key"),
        (ENTRA + 'client_secret = "${SECRET}"', "theirs.scopes", "ends in /.default"),
        (
            ENTRA + 'client_secret = "${SECRET}"\nscopes = ["user.read"]',
            "theirs.scopes",
            "ends in /.default",
        ),
        (ENTRA + GRAPH + 'private_key = "${KEY}"', "theirs.certificate", "by its certificate"),
        (ENTRA + 'upstream = "token_exchange"', "theirs.upstream", 'upstream = "jwt_bearer"'),
        (ENTRA.replace("contoso.", "a/") + GRAPH, "theirs.tenant", "must be an id"),
        (AUTH0 + 'client_secret = "${SECRET}"', "theirs.audience", "gives a token for one API"),
        ('preset = "google"', "theirs.audience", "full name of a workload identity provider"),
        ('preset = "google"\naudience = "x"', "theirs.audience", "full name of a workload"),
        ('preset = "google"\nservice_account = "${SECRET}"', "service_account", "not the JSON"),
        ('preset = "google"\nservice_account = "${USER}"', "service_account", "service account's"),
        ('preset = "google"\nservice_account = "${HALF}"', "service_account", "service account's"),
        (f'preset = "google"\naudience = "{POOL}"', "theirs.assertion", "no issuer"),
    ],
)
def test_what_a_platform_would_not_take_is_told_before_it_is_asked(read, table, place, says):
    with pytest.raises(ConfigError) as caught:
        read(table)
    told = str(caught.value)
    assert place in told
    assert says in told
    assert "hunter2" not in told
    assert "PRIVATE KEY" not in told


def test_an_issuer_whose_keys_are_in_a_module_signs_for_nobody(read):
    module = (
        'store = "sqlite:t.db"\n[issuers.main]\nurl = "https://tokens.example.com"\n'
        'keys = { signer = "pkcs11", module = "m.so", token = "t", pin = "${SECRET}" }\n'
    )
    table = (
        'upstream = "client_credentials"\ntoken_endpoint = "https://x.example.com/token"\n'
        'client_id = "us"\nassertion = "self"\n'
    )
    with pytest.raises(ConfigError, match="sign in a module"):
        read(table, module)
    with pytest.raises(ConfigError, match='there is no issuer "mian"'):
        read(table + 'assertion_issuer = "mian"', ISSUER)
    with pytest.raises(ConfigError, match="either would pass for the other"):
        read(table + 'aud = "api"\n[tokens.ours]\naudience = "api"', ISSUER)


@pytest.mark.parametrize("where", ["token_endpoint", "issuer"])
def test_no_token_of_ours_is_for_whom_we_sign_who_we_are(read, where):
    """Also where nobody wrote the aud: it is the platform's own URL then."""
    table = (
        f'upstream = "client_credentials"\n{where} = "https://x.example.com/token"\n'
        'client_id = "us"\nassertion = "self"\n[tokens.ours]\naudience = '
    )
    with pytest.raises(ConfigError, match="either would pass for the other"):
        read(table + '"https://x.example.com/token"', ISSUER)
    assert read(table + '"https://x.example.com/api"', ISSUER)


def test_every_platform_says_whom_it_believes():
    assert all(cls.believed for cls in PLATFORMS.values())


def test_a_rule_for_whoever_shows_no_token_is_warned_of(tmp_path, environ):
    path = tmp_path / "tokenward.toml"
    path.write_text(
        f"""
        [callers.nightly]
        proof = "client_secret"
        secrets = ["sha256:{"0" * 64}"]
        [callers.mobile]
        proof = "jwt"
        issuer = "https://idp.example.com"
        audience = "us"
        [tokens.onward]
        upstream = "token_exchange"
        issuer = "https://idp.example.com"
        client_id = "us"
        client_secret = "${{SECRET}}"
        [[allow]]
        caller = "mobile"
        claims = {{ a = "b" }}
        token = "onward"
        [[allow]]
        caller = "nightly"
        token = "onward"
        """
    )
    (warning,) = map(str, load(path, environ).warnings)
    assert "allow[2].caller" in warning
    assert "shows no token of its own" in warning
