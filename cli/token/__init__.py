"""`./maas token`: a token from an identity provider."""
