"""`./maas load`: traffic of many users on a live gateway, by the clock, and what became of it."""
