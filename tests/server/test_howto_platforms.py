"""The how-to about platforms: every table on the page can be used as it stands."""

import json

import pytest

from tests.docs import examples
from tests.server.test_platforms import environ  # noqa: F401 - a fixture
from tokenward.server.settings import load

PAGE = "docs/howto/get-tokens-from-platforms.md"
RULES = {
    "okta": ("okta", "okta.users.read"),
    "entra": ("graph", "*"),
    "on-behalf-of": ("mail", "*"),
    "auth0": ("orders", "read:orders"),
    "google": ("directory", "*"),
    "itwin": ("itwin", "itwin-platform"),
    "github": ("github", "contents:read repository:app"),
    "exchange": ("downstream", "orders:read"),
    "keyless": ("graph", "*"),
    "static": ("weather", ""),
}
CALLER = '[callers.mobile]\nproof = "jwt"\nissuer = "https://idp.example.com"\naudience = "us"\n'
WARNED = {
    "on-behalf-of": "whatever scope the upstream gives is handed out",
    "static": "hands out the key itself",
}


def test_every_example_is_known_here():
    assert set(examples(PAGE)) == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_an_example_can_be_used_as_it_stands(name, tmp_path, environ):  # noqa: F811 - the fixture
    token, scope = RULES[name]
    rule = f'[[allow]]\ncaller = "mobile"\nclaims = {{ a = "b" }}\ntoken = "{token}"\n'
    rule += f'scope = "{scope}"\n' if scope else ""
    if name == "keyless":
        rule += rule.replace("graph", "storage")
    path = tmp_path / "tokenward.toml"
    path.write_text(f'store = "sqlite:t.db"\n{examples(PAGE)[name].code}{CALLER}{rule}')
    settings = load(path, variables(environ))
    assert settings.tokens[token].upstream is not None
    said = [it.message for it in settings.warnings]
    assert len(said) == (name in WARNED)
    assert all(WARNED[name] in it for it in said)


def variables(environ):  # noqa: F811 - the fixture's value
    """What the page takes for granted."""
    key = environ["KEY"]
    return {
        **dict.fromkeys(("OKTA_KEY", "ENTRA_KEY", "GITHUB_APP_KEY"), key),
        "ENTRA_CERTIFICATE": environ["CERTIFICATE"],
        "GOOGLE_SERVICE_ACCOUNT": environ["ACCOUNT"],
        **{
            f"{who}_{what}": f"{who}-{what}"
            for who in ("OKTA", "ENTRA", "AUTH0", "ITWIN", "EXCHANGE")
            for what in ("CLIENT_ID", "CLIENT_SECRET")
        },
        "WEATHER_API_KEY": json.dumps(1234567890),
    }
