"""The same world on a real port: for programs and browsers that know nothing of tests."""

from contextlib import ExitStack, contextmanager

from tests.agreeing import CLIENT, Drive
from tests.running import free_port
from tests.server.connections.somebody import OTHER_SECRET, PHOTOS_SECRET
from tests.servers import Issuer
from tests.world import UPSTREAM_SECRET, hashed
from tokenward.jose.keys import SigningKey
from tokenward.server.app import application
from tokenward.server.serve import serving
from tokenward.server.settings import load


class There:
    """A server, who vouches for its people, and the drive that they connect."""

    def __init__(self, friend, drive, url):
        self.friend, self.drive, self.url = friend, drive, url

    def token(self, who="ann", **claims):
        said = {"aud": "https://tokens.example.com", "sub": who, "name": who.title()}
        return self.friend.token(typ="JWT", **said | claims)


@contextmanager
def there(folder, config, **variables):
    """Run a configuration, in which ``{{url}}``, ``{{friend}}`` and ``{{drive}}`` are filled in."""
    with ExitStack() as stack:
        friend = stack.enter_context(Issuer(SigningKey.generate("ES256")).serving())
        drive = stack.enter_context(Drive())
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        for name, value in {"url": url, "friend": friend.url, "drive": drive.url}.items():
            config = config.replace(f"{{{{{name}}}}}", value)
        path = folder / "tokenward.toml"
        path.write_text(config)
        environ = {
            "PHOTOS_HASH": hashed(PHOTOS_SECRET),
            "OTHER_HASH": hashed(OTHER_SECRET),
            "GOOGLE_CLIENT_ID": CLIENT,
            "GOOGLE_CLIENT_SECRET": UPSTREAM_SECRET,
            **variables,
        }
        stack.enter_context(serving(application(load(path, environ)), port=port))
        yield There(friend, drive, url)
