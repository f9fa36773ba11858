"""Attacks from outside: real processes, real sockets, nothing looked at from within."""
