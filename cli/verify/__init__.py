"""`./maas verify`: whether the running service does what the stack says."""
