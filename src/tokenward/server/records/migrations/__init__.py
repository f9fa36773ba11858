"""The steps from no tables to those of today, for Alembic.

Law: a step that was released is never changed; the next one puts right what it got wrong.
"""
