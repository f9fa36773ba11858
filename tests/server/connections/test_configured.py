"""What is written about accounts that people connect: each platform, and each mistake."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.server.test_platforms import environ  # noqa: F401 - a fixture
from tokenward.oauth.scope import Scope
from tokenward.server.config import ConfigError
from tokenward.server.doors import paths
from tokenward.server.settings import load

TOP = 'issuer = "https://tokens.example.com"\nstore = "sqlite:t.db"\n'
CALLER = """
[callers.people]
proof         = "jwt"
issuer        = "https://idp.example.com"
audience      = "us"
redirect_uris = ["https://app.example.com/back"]
"""
US = 'upstream = "connection"\nclient_id = "us"\nclient_secret = "${SECRET}"\n'
PLAIN = US + 'token_endpoint = "https://x.example.com/token"\n'
WHOLE = PLAIN + 'authorization_endpoint = "https://x.example.com/authorize?tenant=a"\n'


@pytest.fixture
def read(tmp_path, environ):  # noqa: F811 - the fixture
    def loaded(table, *, top=TOP, caller=CALLER, name="theirs"):
        path = tmp_path / "tokenward.toml"
        path.write_text(f"{top}[tokens.{name}]\n{table}\n{caller}")
        return load(path, environ)

    return loaded


def asked(upstream, scope=""):
    """What a browser is asked there, and where; its server has no metadata."""
    flow = upstream.asked_in_browser(
        Scope.parse(scope), redirect_uri="https://us/cb", state="s", verifier="v" * 43, now=0.0
    )
    with pytest.raises(StopIteration) as end:
        next(flow)
    parts = urlsplit(end.value.value)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", dict(parse_qsl(parts.query))


PLATFORMS = {
    "okta": (
        'preset = "okta"\ndomain = "x.okta.com"\nserver = "default"\n',
        "https://x.okta.com/oauth2/default/v1/authorize",
        {"scope": "a offline_access"},
        "https://x.okta.com/oauth2/default/v1/revoke",
        "https://x.okta.com/oauth2/default",
        "Okta",
    ),
    "okta's own": (
        'preset = "okta"\ndomain = "x.okta.com"\n',
        "https://x.okta.com/oauth2/v1/authorize",
        {"scope": "a offline_access"},
        "https://x.okta.com/oauth2/v1/revoke",
        "https://x.okta.com",
        "Okta",
    ),
    "entra": (
        'preset = "entra"\ntenant = "contoso.com"\n',
        "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/authorize",
        {"scope": "a offline_access"},
        "",
        "",
        "Microsoft",
    ),
    "google": (
        'preset = "google"\n',
        "https://accounts.google.com/o/oauth2/v2/auth",
        {"scope": "a", "access_type": "offline", "prompt": "consent"},
        "https://oauth2.googleapis.com/revoke",
        "https://accounts.google.com",
        "Google",
    ),
    "google, and more": (
        'preset = "google"\nauthorization_parameters = { hd = "example.com" }\n',
        "https://accounts.google.com/o/oauth2/v2/auth",
        {"access_type": "offline", "prompt": "consent", "hd": "example.com"},
        "https://oauth2.googleapis.com/revoke",
        "https://accounts.google.com",
        "Google",
    ),
    "github": (
        'preset = "github"\ntitle = "Our GitHub"\n',
        "https://github.com/login/oauth/authorize",
        {"scope": "a"},
        "",
        "",
        "Our GitHub",
    ),
    "any other": (
        WHOLE.removeprefix(US) + 'resource = "https://api"\n',
        "https://x.example.com/authorize",
        {"scope": "a", "tenant": "a", "resource": "https://api"},
        "",
        "",
        "x.example.com",
    ),
}


@pytest.mark.parametrize("name", PLATFORMS)
def test_each_platform_knows_where_its_people_agree(read, name):
    table, url, said, revocation, issuer, title = PLATFORMS[name]
    upstream = read(US + table).tokens["theirs"].upstream
    there, query = asked(upstream, "a")
    assert there == url
    assert query | said == query
    assert query["client_id"] == "us"
    assert query["code_challenge_method"] == "S256"
    assert (upstream.revocation_endpoint, upstream.authorization_issuer) == (revocation, issuer)
    assert upstream.called == title


@pytest.mark.parametrize(
    ("table", "issuer"),
    [
        ('preset = "auth0"\ndomain = "x.auth0.com"\naudience = "api"\n', "https://x.auth0.com/"),
        ('preset = "itwin"\n', "https://ims.bentley.com"),
    ],
)
def test_those_with_metadata_are_asked_where(read, table, issuer):
    upstream = read(US + table).tokens["theirs"].upstream
    assert (upstream.issuer, str(upstream.offline_scope)) == (issuer, "offline_access")
    flow = upstream.asked_in_browser(
        Scope.parse(""), redirect_uri="https://us/cb", state="s", verifier="v", now=0.0
    )
    assert str(next(flow).url).startswith(issuer.rstrip("/") + "/.well-known/")


def test_its_doors_are_there_only_where_somebody_connects_something(read):
    found = {it for it in paths(read(WHOLE)) if "/connections" in it}
    assert found == {
        "/connections/*",
        "/connections/start",
        "/connections/complete",
        "/connections/list",
        "/connections/disconnect",
        "/connections/callback/theirs",
    }
    static = read('upstream = "static"\nsecret = "${SECRET}"')
    assert not [it for it in paths(static) if "/connections" in it]


MISTAKES = {
    "no client": (
        WHOLE.replace('client_id = "us"\n', "").replace('client_secret = "${SECRET}"\n', ""),
        "client_id: is missing",
    ),
    "nowhere to agree": (PLAIN, "authorization_endpoint: is missing"),
    "plain http": (
        PLAIN + 'authorization_endpoint = "http://x.example.com/"',
        "authorization_endpoint: must be https",
    ),
    "nowhere to revoke": (WHOLE + 'revocation_endpoint = "x"', "revocation_endpoint: must"),
    "a parameter of ours": (
        WHOLE + 'authorization_parameters = { state = "x" }',
        "authorization_parameters: state has its own meaning",
    ),
    "another of ours": (
        WHOLE + 'authorization_parameters = { code_challenge_method = "plain" }',
        "code_challenge_method has its own meaning",
    ),
    "an installation": ('preset = "github"\n', 'must be "connection"'),
    "a robot": (
        US + 'preset = "google"\nservice_account = "${ACCOUNT}"\n',
        "nobody's account that they could connect",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_table_is_told(read, mistake):
    table, said = MISTAKES[mistake]
    with pytest.raises(ConfigError) as caught:
        read(table)
    assert "tokens.theirs" in str(caught.value)
    assert said in str(caught.value)


ADDRESSES = {
    "http://app.example.com/": "must be https",
    "https://app.example.com/#part": "without a fragment",
    "https://user@app.example.com/": "must have neither user",
    "https://app.example.com:99999/": "has no sensible port",
    "https:///back": "must start with https:// and a host",
    "javascript:alert(1)": "must be https, or a scheme of an app's own",
    "myapp:/back": "must be https, or a scheme of an app's own",
    "//app.example.com/": "must be an absolute address",
    "https://app.example.com/ back": "must be an absolute address",
    "https://app.example.com/\\\\evil.example.com": "must be an absolute address",
    "https://app.example.com/é": "must be an absolute address",
    "https://*.example.com/": "",
    "": "must be an absolute address",
}


@pytest.mark.parametrize("address", [it for it, said in ADDRESSES.items() if said])
def test_an_address_that_nobody_can_be_sent_back_to_is_told(read, address):
    caller = CALLER.replace("https://app.example.com/back", address)
    with pytest.raises(ConfigError) as caught:
        read(WHOLE, caller=caller)
    assert "callers.people.redirect_uris" in str(caught.value)
    assert ADDRESSES[address] in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://app.example.com/back?a=b",
        "http://127.0.0.1:4000/back",
        "http://localhost/back",
        "http://[::1]:8080/",
        "com.example.app:/back",
    ],
)
def test_an_address_that_will_do(read, address):
    settings = read(WHOLE, caller=CALLER.replace("https://app.example.com/back", address))
    assert settings.subjects["people"].redirect_uris == (address,)


def test_somebody_must_be_able_to_come_back(read):
    caller = CALLER.replace('redirect_uris = ["https://app.example.com/back"]\n', "")
    with pytest.raises(ConfigError, match="no caller says where they go back to"):
        read(WHOLE, caller=caller)


def test_browsers_must_be_able_to_find_us(read):
    with pytest.raises(ConfigError, match="browsers have to find us"):
        read(WHOLE, top='store = "sqlite:t.db"\n')


@pytest.mark.parametrize("name", ['"a b"', '"a/b"', '"é"', '".."', '"a%2f"'])
def test_a_name_that_cannot_stand_in_an_address_is_told(read, name):
    with pytest.raises(ConfigError, match="stands in the address that people come back to"):
        read(WHOLE, name=name)
