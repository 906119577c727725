"""The Polaris Hub. Nothing outside this package imports polaris-lib, and it does so only when called.

`artifact` says what benchmarks and competitions have in common; `benchmarks` and `competitions` open and save
them, `files` fetches bytes, `account` logs in and `tokens` keeps the login, `card` is what the Hub is told,
`payloads` makes what a submission sends, `upload` sends it, `answers` and `failures` say what came and what
went wrong, `upstream` holds every workaround.
"""
