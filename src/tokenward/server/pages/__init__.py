"""Pages for people: a template, and the lines that render it.

Law of this package: a page decides nothing and shows only what it was given. Scripts and styles
are files of their own, because the content security policy allows no others. No worker that only
serves tokens imports it.
"""
