"""The Polaris Hub. Nothing outside this package imports polaris-lib, and it does so only when called.

`benchmarks` opens and saves benchmarks, `files` fetches bytes, `upstream` holds every workaround.
"""
