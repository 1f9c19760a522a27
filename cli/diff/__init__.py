"""`./maas diff`: what a change of this repository would change on the clusters, without any of them."""
