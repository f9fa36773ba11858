"""Files with tokens that Azure's and AWS's workload identities put into a pod.

As they come they are meant for Microsoft and Amazon, and stay in the pod: whoever saw them could be
this pod there. One that is meant for us, too, is as good as any.
"""

from tokenward.client.ambient import Found, Here, NotHere, Place
from tokenward.client.ambient.questions import meant_for
from tokenward.client.errors import TokenError


def _place(name: str, variable: str) -> Place:
    def identity(here: Here, audience: str) -> Found:
        path = here.variable(variable)
        if not path:
            return NotHere(why=f"{variable} is not set", remedy="nothing, unless you use it")
        token = here.file(path)
        if not token:
            raise TokenError(f"{variable} names {path}, where there is no token")
        return meant_for(audience, token, path)

    return Place(name=name, identity=identity, variables=(variable,))


PLACES = (
    _place("AWS web identity", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    _place("Azure workload identity", "AZURE_FEDERATED_TOKEN_FILE"),
)
