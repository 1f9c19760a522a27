"""`./maas keys`: the API keys of a stack."""
