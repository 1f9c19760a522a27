"""The running service and who calls it."""
