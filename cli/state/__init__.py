"""`./maas state`: copies of a stack's state, and the way back when it is lost or damaged."""

BACKUPS = 10
"""How many copies of a local state stay, unless somebody says otherwise."""
