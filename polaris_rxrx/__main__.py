"""`python -m polaris_rxrx` is `polaris-rxrx`."""

from polaris_rxrx.cli import main

main()
