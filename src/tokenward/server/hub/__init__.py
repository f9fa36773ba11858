"""A Textile Hub's getToken, for clients that were written for one.

    grpcweb      what a client says, message by message
    websocket    the frames its messages come in (RFC 6455)
    exchange     key, challenge, signature, token: who says what when
    groups       the user-group keys that applications show
    connection   one client, from the first frame to the last
    door         where such a connection begins, and the way from there to the spine

Law of this package: a stranger can hold nothing here for longer than the challenge lasts, costs no
more memory than one message, and hears in words of the original what is wrong. No challenge is
kept anywhere but with the connection it was given to, so that it can be used once, there, and by
nobody else.
"""
