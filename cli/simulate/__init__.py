"""`./maas simulate`: what a stack would do with some traffic, and what a change of it would change."""
