"""What is wrong with an installation, and one line of advice for each: Python, packages, files, network.

Nothing here stands on a package that may be what is broken: what is imported at a module's head is Python's
own, and every other import is guarded. Nothing is changed, and nothing private is told.
"""
