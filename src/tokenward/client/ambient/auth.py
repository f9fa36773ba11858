"""The identity that we have where we run, exchanged for a token with every request (RFC 8693).

Law of this module: the identity token is asked for when a token is, and then forgotten; only the
server that it is meant for sees it.
"""

import os
from collections.abc import Sequence
from typing import Unpack

from tokenward.client.ambient import Here, Place
from tokenward.client.ambient.finding import PLACES, fingerprint, identity_token
from tokenward.client.auth import Options, TokenAuth, Wanted, as_tuple, endpoint_of
from tokenward.client.flows import Several, TokenEndpoint
from tokenward.oauth.messages import JWT, AccessToken
from tokenward.oauth.scope import Scope
from tokenward.remote.flow import Flow

AUDIENCE = "TOKENWARD_IDENTITY_AUDIENCE"


def ambient_auth(
    issuer_or_token_url: str | TokenEndpoint = "",
    *,
    audience: Several = "",
    scope: str = "",
    resource: Several = "",
    identity_audience: str = "",
    places: Sequence[Place] = PLACES,
    here: Here | None = None,
    **options: Unpack[Options],
) -> TokenAuth:
    """A token with every request, got by what a CI job, a pod or a cloud machine is.

    ``identity_audience`` is whom the identity token must be meant for: the ``audience`` of the
    server's ``[callers.<name>]``. If it is not given it is TOKENWARD_IDENTITY_AUDIENCE, or else
    the issuer. The issuer is TOKENWARD_ISSUER unless it is given. A client, if one is in the
    environment, introduces itself beside it. Raises ``ValueError`` for what is missing or cannot
    be, and when a token is wanted, ``TokenError``: it names every place that was looked at.
    """
    here = here or Here(environ=os.environ)
    endpoint = endpoint_of(issuer_or_token_url, "", "", options, needs_client=False)
    meant_for = identity_audience or here.variable(AUDIENCE) or endpoint.issuer
    if not meant_for:
        raise ValueError(
            "identity_audience is missing: whom the identity token must be meant for; give it, set"
            f" {AUDIENCE}, or give the issuer instead of its token endpoint"
        )
    places = tuple(places)

    def exchange(
        endpoint: TokenEndpoint,
        *,
        identity_audience: str,
        scope: str,
        audience: Several,
        resource: Several,
        identity: str,  # noqa: ARG001 - whose token it is, for those who remember it
        now: float,
    ) -> Flow[AccessToken]:
        # The one who holds this conversation is a thread that waits for nobody else, so the
        # identity is asked for by a client of its own: past any proxy, with its own deadline.
        subject = identity_token(identity_audience, here=here, places=places)
        return endpoint.exchange(
            subject,
            subject_token_type=JWT,
            scope=scope,
            audience=audience,
            resource=resource,
            now=now,
        )

    wanted = Wanted(
        exchange,
        identity_audience=meant_for,
        scope=str(Scope.parse(scope)),
        audience=as_tuple(audience),
        resource=as_tuple(resource),
        identity=fingerprint(here, places),
    )
    return TokenAuth(endpoint, lambda: wanted, options)
