"""An engine that only keeps settings, and seals values so that anybody can open them: for tests of what stands around.

It refuses what the real one refuses: another passphrase than the stack file was sealed with.
"""

import stat
import sys
from pathlib import Path

_FAKE = """#!{python}
import base64, json, os, sys
import yaml
words = [word for word in sys.argv[1:] if word != "--non-interactive"]
stack = words[words.index("--stack") + 1] if "--stack" in words else words[2]
path = f"Pulumi.{{stack}}.yaml"
secret = open(os.environ["PULUMI_CONFIG_PASSPHRASE_FILE"]).read()
content = yaml.safe_load(open(path)) or {{}}
salt = base64.b64encode(secret.encode()).decode()[:8]
if content.setdefault("encryptionsalt", f"v1:{{salt}}") != f"v1:{{salt}}":
    sys.exit("error: incorrect passphrase")
def opened(value):
    if isinstance(value, dict):
        if set(value) == {{"secure"}}:
            return base64.b64decode(value["secure"].removeprefix("v1:"))[::-1].decode()
        return {{key: opened(each) for key, each in value.items()}}
    return [opened(each) for each in value] if isinstance(value, list) else value
with open({calls!r}, "a") as calls:
    calls.write(json.dumps(words) + "\\n")
if words[:2] == ["config", "get"]:
    found = opened(content["config"][words[-1]])
    print(found if isinstance(found, str) else json.dumps(found))
elif words[:2] == ["config", "set"]:
    sealed = base64.b64encode(sys.stdin.read().encode()[::-1]).decode()
    content["config"][words[-1]] = {{"secure": "v1:" + sealed}}
if words[0] in ("config", "stack") and words[1] != "get":
    yaml.safe_dump(content, open(path, "w"))
"""


def engine(folder: Path) -> tuple[Path, Path]:
    """Make one; returns the program, and the file in which each of its command lines is a line."""
    folder.mkdir()
    program, calls = folder / "pulumi", folder / "calls"
    program.write_text(_FAKE.format(python=sys.executable, calls=str(calls)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program, calls
