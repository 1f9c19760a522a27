"""`./maas sbom`: what a stack is made of, as a CycloneDX bill of materials."""
