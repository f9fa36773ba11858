"""A FastAPI dependency: the claims of the request's token, or the right refusal.

reader = bearer(verifier, "reports:read")

@app.get("/reports")
async def reports(token: Annotated[Claims, Depends(reader)]) -> list[str]: ...
"""

from collections.abc import Mapping

from fastapi import HTTPException, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase

from tokenward.jose.jwt import Claims
from tokenward.verifier.bearer import Gate, Refusal
from tokenward.verifier.scopes import NO_CLAIMS
from tokenward.verifier.verifier import Verifier


class Bearer(SecurityBase):
    """The dependency; appears in the OpenAPI document as an HTTP bearer scheme."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.model = HTTPBearer(bearerFormat="JWT")
        self.scheme_name = "Bearer"

    async def __call__(self, request: Request, asked: SecurityScopes) -> Claims:
        """Raise ``HTTPException`` with ``WWW-Authenticate``, or return the claims.

        Scopes of ``Security(…, scopes=[…])`` are needed besides the dependency's own.
        """
        gate = self.gate
        if asked.scopes:
            scope = " ".join((gate.scope, *asked.scopes))
            gate = Gate(verifier=gate.verifier, scope=scope, claims=gate.claims, realm=gate.realm)
        values = [
            value for name, value in request.scope["headers"] if name.lower() == b"authorization"
        ]
        answer = await gate.aadmit(values)
        if isinstance(answer, Refusal):
            headers = answer.headers(gate.realm)
            headers.pop("content-type")
            raise HTTPException(answer.status, detail=answer.to_json(), headers=headers)
        return answer


def bearer(
    verifier: Verifier,
    *scopes: str,
    claims: Mapping[str, object] = NO_CLAIMS,
    realm: str = "api",
) -> Bearer:
    """Make a dependency that demands a token with all of these scopes and claims."""
    return Bearer(Gate(verifier=verifier, scope=" ".join(scopes), claims=claims, realm=realm))
