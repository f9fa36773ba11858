"""One step, one file.

Law: a step knows the tables as they were in its time, and imports nothing of ours.
"""
