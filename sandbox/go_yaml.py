"""YAML as programs written in Go read it."""

import yaml


class GoLoader(yaml.CSafeLoader):
    """YAML in which `=` and dates are texts."""

    yaml_implicit_resolvers = {  # noqa: RUF012  (how PyYAML is configured)
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":value", ":timestamp"))]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }
