"""The real operators of Kuadrant: their own programs, on the sandbox's API server, in place of kwok's stages.

Each stands in for the pods of one Deployment that its chart, or another operator, makes: it runs with that Deployment's
environment, under its service account, and is started anew when its pod template changes, as a rollout would do.

- `catalogue.py` says which programs there are.
- `manifests.py` renders what their charts put into the cluster.
- `supervisor.py` is the process that keeps them running; `__main__.py` starts it.
- `lifecycle.py` brings all of it up and says how it is.
"""
