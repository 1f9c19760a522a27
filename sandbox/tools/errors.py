"""What can go wrong on the way to a tool."""


class ToolError(Exception):
    """A tool cannot be had; the message lists what was tried and what to do."""


class UnavailableError(Exception):
    """One of the ways to a tool is closed; the message says why. The next way is tried."""
