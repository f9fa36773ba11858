"""Signed tokens and the keys behind them: JWS, JWK, JWT (RFC 7515, 7517, 7519).

Law: cryptography and the standard library, and nothing else (orjson is used where it is there
already); no files, no sockets, no clocks, no event loop.  A token is a stranger's text until
`jwt.verify` has returned its claims.
"""
