"""A Textile Hub's getToken, for clients that were written for one.

    grpcweb      what a client says, message by message
    exchange     key, challenge, signature, token: who says what when
    connection   one client, from the first message to the last
    door         where such a connection begins, and the way from there to the spine

Law of this package: a stranger can hold nothing here for longer than the challenge lasts, costs no
more memory than one message, and hears in words of the original what is wrong. No challenge is
kept anywhere but with the connection it was given to, so that it can be used once, there, and by
nobody else.
"""
