"""`python -m cli`, which is what the script `maas` runs."""

from cli.app import main

main()
