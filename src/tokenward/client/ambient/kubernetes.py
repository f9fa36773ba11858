"""Kubernetes: a token of the pod's service account, projected into a file for an audience.

The token that every pod has is meant for the cluster's own API, and stays in the pod.
"""

from tokenward.client.ambient import Found, Here, NotHere, Place
from tokenward.client.ambient.questions import meant_for

PROJECTED = "/var/run/secrets/tokenward/token"
"""Where the pod's volume puts it, if nothing else is said (``TOKENWARD_ID_TOKEN_FILE``)."""

DEFAULT = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def identity(here: Here, audience: str) -> Found:
    """The token of the volume that was made for us, or the pod's own if it is meant for us."""
    why = f"there is no {PROJECTED}"
    for path in PROJECTED, DEFAULT:
        token = here.system(path)
        if not token:
            continue
        found = meant_for(audience, token, path)
        if isinstance(found, str):
            return found
        why = found.why
    return NotHere(
        why=why,
        remedy=f"give the pod a projected volume with a serviceAccountToken for {audience}",
    )


PLACE = Place(name="Kubernetes", identity=identity, files=(PROJECTED, DEFAULT))
