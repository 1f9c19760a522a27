"""Registers recorded objects, as they are; see benchmarks/bare.py."""

import json
import os
from pathlib import Path
from typing import Any

import pulumi

_made: list[pulumi.Resource] = []
for each in json.loads(Path(os.environ["BARE_OBJECTS"]).read_text(encoding="utf-8")):
    inputs: dict[str, Any] = {
        key: pulumi.Output.secret(value) if key in each["secrets"] else value for key, value in each["inputs"].items()
    }
    after: list[pulumi.Resource] = [_made[number] for number in each["after"]]
    create, update, delete = each["timeouts"]
    options = pulumi.ResourceOptions(
        depends_on=after,
        delete_before_replace=each["deleteBeforeReplace"] or None,
        retain_on_delete=each["retainOnDelete"] or None,
        ignore_changes=each["ignoreChanges"] or None,
        custom_timeouts=pulumi.CustomTimeouts(create=create or None, update=update or None, delete=delete or None),
    )
    if each["type"].startswith("pulumi:providers:"):
        _made.append(pulumi.ProviderResource(each["type"].rpartition(":")[2], each["name"], inputs, options))
    else:
        options.provider = _made[each["provider"]] if each["provider"] is not None else None
        _made.append(pulumi.CustomResource(each["type"], each["name"], inputs, options))
