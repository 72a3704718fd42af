"""A person's Python program that signs them in by their browser, and then does what it is told, a word a line: `list` or `token`.

It prints one JSON line for each: what came, or the error as the SDK shows it.
"""

import json
import sys

from databricks.sdk import WorkspaceClient

workspace = None
for line in sys.stdin:
    try:
        # the host is in the environment
        workspace = workspace or WorkspaceClient(auth_type="external-browser")
        if line.strip() == "list":
            out = {"ok": [job.job_id for job in workspace.jobs.list()]}
        else:
            out = {"ok": workspace.config.authenticate()["Authorization"].removeprefix("Bearer ")}
    except Exception as error:  # whatever it is, the user sees it
        out = {"error": {"type": type(error).__name__, "message": str(error)}}
    print(json.dumps(out), flush=True)
