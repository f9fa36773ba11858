"""Does it stay as it is? One server under a steady, mixed load, watched from outside.

`kinds` are those who ask, `watching` looks at the server every ten seconds, `verdict` says what it
means.

Law: what must be refused is sent too, and an answer that was not expected is an error.
"""
