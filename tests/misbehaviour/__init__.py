"""Services that are wrong on purpose: a gateway with one known fault, and servers that are hardly servers at all."""
