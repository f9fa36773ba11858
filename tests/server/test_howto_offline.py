"""The how-to about refresh tokens: its table can be used as it stands."""

from tests.docs import examples
from tokenward.server.settings import load
from tokenward.server.upstreams.refresh_token import RefreshToken

PAGE = "docs/howto/keep-an-offline-grant.md"
CALLER = '[callers.mobile]\nproof = "jwt"\nissuer = "https://idp.example.com"\naudience = "us"\n'


def test_the_example_can_be_used_as_it_stands(tmp_path):
    [code] = [example.code for example in examples(PAGE).values()]
    file = tmp_path / "tokenward.toml"
    file.write_text(f'store = "sqlite:{tmp_path}/t.db"\n{CALLER}{code}')
    environ = {
        "CALENDAR_CLIENT_ID": "us",
        "CALENDAR_CLIENT_SECRET": "s" * 20,
        "CALENDAR_REFRESH_TOKEN": "1//refresh",
    }
    settings = load(file, environ)
    upstream = settings.tokens["calendar"].upstream
    assert isinstance(upstream, RefreshToken)
    assert upstream.refresh_token == "1//refresh"
    assert "refresh" not in repr(upstream).replace("RefreshToken", "")
    assert settings.warnings == ()
