"""`python -m cli`, which is what the script `maas` runs."""

import gc

from cli.app import main

# A command loads hundreds of modules that stay for as long as it runs: looking through them for garbage again and again
# takes a tenth of its processor time.
gc.set_threshold(50_000)

main()
