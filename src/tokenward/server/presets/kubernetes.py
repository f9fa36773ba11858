"""Kubernetes: the token of a service account, projected into a pod for one audience.

Each cluster is an issuer of its own; its keys are public, or to be had inside it from the API
server, by whoever shows that they are a pod of it.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import httpx2

from tokenward.clock import Clock
from tokenward.remote.clients import open_async_client
from tokenward.remote.fetch import RemoteError
from tokenward.remote.keysets import RemoteKeys
from tokenward.server.presets import Whose, untold

INSIDE = "https://kubernetes.default.svc.cluster.local"
API_SERVER = "https://kubernetes.default.svc"
CLAIM = "kubernetes.io"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubernetes:
    """``preset = "kubernetes"``."""

    issuer: str = INSIDE
    """What `kubectl get --raw /.well-known/openid-configuration` says: on EKS, GKE and AKS a public
    URL of each cluster."""

    api_server: str = ""
    """Where to get the keys inside the cluster, as a pod of it: `https://kubernetes.default.svc`,
    also unless said if the issuer is the cluster's inner name."""

    service_account: str = "/var/run/secrets/kubernetes.io/serviceaccount"
    """The folder with our own `token` and the `ca.crt` of the API server, for `api_server`."""

    algorithms: ClassVar[frozenset[str]] = frozenset({"RS256", "ES256", "ES384", "ES512"})
    typ: ClassVar[frozenset[str]] = frozenset({"", "jwt"})

    whose: ClassVar[Whose] = Whose(
        missing="must say which namespace: the cluster vouches for every pod in it",
        example='claims = { sub = "system:serviceaccount:shop:orders" }',
        said_by={
            "sub": r"system:serviceaccount:[^*:]+:.+",
            f"{CLAIM}.namespace": r"[^*]+",
            f"{CLAIM}.serviceaccount.uid": r"[^*]+",
        },
        unsaid_by={
            f"{CLAIM}.serviceaccount.name": "is a name that every namespace can use",
            f"{CLAIM}.pod.name": "is a name that every namespace can use",
            f"{CLAIM}.node.name": "says where it runs, and everybody's pods run there",
        },
    )

    @property
    def jwks_uri(self) -> str:
        """At the API server, if that is to be asked."""
        server = self.api_server or (API_SERVER if self.issuer == INSIDE else "")
        return f"{server.rstrip('/')}/openid/v1/jwks" if server else ""

    def fault(self, claims: Mapping[str, object]) -> str:
        """No service account's, or one whose two names are not the same."""
        told = claims.get(CLAIM)
        account = told.get("serviceaccount") if isinstance(told, Mapping) else None
        if not isinstance(told, Mapping) or not isinstance(account, Mapping):
            return f"{CLAIM}: missing"
        if fault := untold(told, "namespace") or untold(account, "name", "uid"):
            return f"{CLAIM}: {fault}"
        if claims.get("sub") != f"system:serviceaccount:{told['namespace']}:{account['name']}":
            return f"sub: not the service account of {CLAIM}"
        return ""

    def keys(self, clock: Clock) -> RemoteKeys | None:
        """The keys that the API server gives to pods of its cluster."""
        if not self.jwks_uri:
            return None
        return RemoteKeys(
            self.issuer,
            jwks_uri=self.jwks_uri,
            clock=clock,
            async_client=self._as_a_pod,
        )

    def _as_a_pod(self) -> httpx2.AsyncClient:
        context, token = self._shown()
        transport = httpx2.AsyncHTTPTransport(verify=context, trust_env=False)

        async def show(request: httpx2.Request) -> None:
            request.headers["Authorization"] = f"Bearer {token}"

        client = open_async_client(transport=transport)
        client.event_hooks["request"].append(show)
        return client

    def _shown(self) -> tuple[ssl.SSLContext, str]:
        """Both as they are now: the kubelet writes a new token every hour or so."""
        folder = Path(self.service_account)
        try:
            context = ssl.create_default_context(cafile=folder / "ca.crt")
            return context, (folder / "token").read_text("ascii").strip()
        except (OSError, ValueError):
            raise RemoteError(
                "the API server cannot be asked: our own service account's token or ca.crt "
                "cannot be read (is automountServiceAccountToken off?)"
            ) from None
