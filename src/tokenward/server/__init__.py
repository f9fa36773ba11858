"""The server: TokenRequest -> Grant -> Authorization -> AccessToken.

Law of this package: ``app`` is the only module that knows everybody. The spine (``model``,
``policy``, ``issuance``, ``audit``) knows contracts, never plug-ins, networks or frameworks.
"""
