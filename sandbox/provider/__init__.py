"""A stand-in for the official `kubernetes` Pulumi provider, for machines where that plugin cannot be had.

It implements what this program uses, against a real API server, with the official provider's behaviour; anything else
it refuses in one clear sentence. The engine attaches to it through `PULUMI_DEBUG_PROVIDERS=kubernetes:PORT`.
"""

from sandbox.provider.serving import serve

__all__ = ["serve"]
