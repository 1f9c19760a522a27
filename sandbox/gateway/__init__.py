"""The sandbox's gateway: answers requests as Kuadrant would with the objects of the sandbox's API server.

A process of its own beside the control plane. It listens on loopback and connects to loopback only.
"""
