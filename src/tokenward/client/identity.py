"""A key of our own instead of a password: it signs that it is ours, and never leaves us.

Law of this module: what is signed is for one server and one question of its. The private key is in
no request, no ``repr`` and no error.
"""

from typing import Self, Unpack
from urllib.parse import urlencode

import httpx2

from tokenward.client.auth import Options, TokenAuth, Wanted
from tokenward.client.credentials import ANONYMOUS, Credentials
from tokenward.client.errors import TokenError
from tokenward.client.flows import Several, TokenEndpoint
from tokenward.jose import keyproof
from tokenward.jose.identity import PrivateKey, PublicKey
from tokenward.oauth.messages import JWT, AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.fetch import RemoteError, json_object
from tokenward.remote.flow import Flow


class KeyIdentity:
    """Somebody who is their key.

    Servers that ask as tokenward does know whoever can sign with it. Keys are written as libp2p
    writes them, so that those of Textile's clients can be used as they are, old ones too.
    """

    __slots__ = ("_key",)

    def __init__(self, key: PrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls, kind: str = "ed25519") -> Self:
        """A new one: ``ed25519``, ``p256``, ``secp256k1`` or ``rsa``; else ``ValueError``."""
        return cls(PrivateKey.generate(kind))

    @classmethod
    def from_string(cls, text: str) -> Self:
        """The one that ``to_string`` wrote, or a private key in PEM without a password.

        Raises ``ValueError``, which repeats nothing of the text.
        """
        return cls(PrivateKey.from_string(text))

    def to_string(self) -> str:
        """The private key as text. **Whoever has it is you.**"""
        return self._key.to_string()

    @property
    def public_key(self) -> PublicKey:
        """What others may know; ``str()`` of it is the name that servers have for this identity."""
        return self._key.public

    def sign(self, data: bytes) -> bytes:
        """Sign bytes as they are, for protocols of others that want that.

        Whatever you sign says only what it says: never sign bytes that somebody else chose, unless
        you know what they are good for.
        """
        return self._key.sign(data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyIdentity) and other.public_key == self.public_key

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __repr__(self) -> str:
        return f"<KeyIdentity {self.public_key}>"

    def auth(
        self,
        server: str | TokenEndpoint,
        *,
        scope: str = "",
        audience: Several = "",
        resource: Several = "",
        client_id: str = "",
        client_secret: str = "",
        **options: Unpack[Options],
    ) -> TokenAuth:
        """For ``httpx2.Client(auth=…)``: a token with every request, asked for when it is needed.

        ``server`` is the issuer's URL, never that of its token endpoint: it is what is signed.
        Raises ``ValueError`` for what cannot be.
        """
        endpoint = _endpoint(server, client_id, client_secret, options)
        wanted = Wanted(
            self._conversation,
            public_key=self.public_key.text,
            scope=str(Scope.parse(scope)),
            audience=(audience,) if isinstance(audience, str) else tuple(audience),
            resource=(resource,) if isinstance(resource, str) else tuple(resource),
        )
        return TokenAuth(endpoint, lambda: wanted, options)

    def get_token(
        self,
        server: str | TokenEndpoint,
        *,
        scope: str = "",
        audience: Several = "",
        resource: Several = "",
        client_id: str = "",
        client_secret: str = "",
        **options: Unpack[Options],
    ) -> AccessToken:
        """One token, the same one as long as it is good; raises ``TokenError`` and ``ValueError``.

        ``server`` is the issuer's URL. ``str(token)`` is the token itself.
        """
        return self.auth(
            server,
            scope=scope,
            audience=audience,
            resource=resource,
            client_id=client_id,
            client_secret=client_secret,
            **options,
        ).token()

    async def aget_token(
        self,
        server: str | TokenEndpoint,
        *,
        scope: str = "",
        audience: Several = "",
        resource: Several = "",
        client_id: str = "",
        client_secret: str = "",
        **options: Unpack[Options],
    ) -> AccessToken:
        """As ``get_token``, for tasks."""
        auth = self.auth(
            server,
            scope=scope,
            audience=audience,
            resource=resource,
            client_id=client_id,
            client_secret=client_secret,
            **options,
        )
        return await auth.atoken()

    def _conversation(
        self,
        endpoint: TokenEndpoint,
        *,
        public_key: str,
        scope: str,
        audience: Several,
        resource: Several,
        now: float,
    ) -> Flow[AccessToken]:
        """Be asked, answer, and get a token for the answer."""
        if not endpoint.challenge_url:
            raise TokenError(f"{endpoint.issuer} knows nobody by a key (no key_challenge_endpoint)")
        said = {"public_key": public_key, "client_id": endpoint.credentials.client_id}
        response = yield httpx2.Request(
            "POST",
            endpoint.challenge_url,
            headers={
                "Accept": "application/json",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            content=urlencode([pair for pair in said.items() if pair[1]]).encode(),
        )
        try:
            nonce = json_object(response).get("nonce")
        except RemoteError as fault:
            raise TokenError.of(fault) from None
        if not isinstance(nonce, str) or not 0 < len(nonce) <= keyproof.LONGEST_NONCE:
            raise TokenError(f"{endpoint.issuer} asks without a nonce", status=200)
        return (
            yield from endpoint.exchange(
                keyproof.write(self._key, audience=endpoint.issuer, nonce=nonce),
                subject_token_type=JWT,
                scope=scope,
                audience=audience,
                resource=resource,
                now=now,
            )
        )


def _endpoint(
    server: str | TokenEndpoint, client_id: str, client_secret: str, options: Options
) -> TokenEndpoint:
    if isinstance(server, TokenEndpoint):
        if client_id or client_secret or "key" in options:
            raise ValueError("a TokenEndpoint has its own credentials; give no others")
        if not server.issuer or server.url:
            raise ValueError("give the issuer alone, not its endpoint: it is what is signed")
        return server
    if "key" in options:
        raise ValueError("a key in options is a client's; for such a client give a TokenEndpoint")
    credentials = ANONYMOUS
    if client_id or client_secret:
        credentials = Credentials(
            client_id=client_id,
            client_secret=client_secret,
            method=options.get("method", "client_secret_basic") if client_secret else "none",
        )
    return TokenEndpoint(issuer=server, credentials=credentials)
