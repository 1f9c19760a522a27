"""`./maas models`: the catalogue of a stack, read, edited and measured."""
