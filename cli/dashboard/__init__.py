"""The dashboards on this machine: a real Prometheus over made-up traffic, and a page where there is no Grafana."""
