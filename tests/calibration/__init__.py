"""Do intervals cover and tests reject as often as they say? Worlds where the truth is known.

`python -m tests.calibration` makes the tables of docs/noise.md; the tests here are a short form of it.
"""
