"""The Polaris Hub. Nothing outside this package imports polaris-lib, and it does so only when called.

`benchmarks` and `competitions` open and save them, `files` fetches bytes, `account` logs in and `tokens`
keeps the login, `payloads` makes what a submission sends, `upload` sends it, `failures` says what went wrong,
`upstream` holds every workaround.
"""
