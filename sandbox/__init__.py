"""The embedded control plane: pinned tools, CRDs, kwok stages and the stand-in provider."""
