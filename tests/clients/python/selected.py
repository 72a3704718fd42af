"""What a Python program selects: the statement is the argument, `SEA` in the environment asks by REST. It prints one JSON line: what
came, or the error as the driver shows it."""

import json
import os
import sys
from urllib.parse import urlsplit

from databricks import sql

host = urlsplit(os.environ["DATABRICKS_HOST"]).hostname
more = {"use_sea": True, "use_cloud_fetch": False} if os.environ.get("SEA") else {}
if int(os.environ.get("RETRY_SECONDS", 0)):
    more["_retry_stop_after_attempts_duration"] = int(os.environ["RETRY_SECONDS"])
try:
    token = os.environ["DATABRICKS_TOKEN"]
    with sql.connect(host, os.environ["HTTP_PATH"], token, enable_telemetry=False, **more) as connection:
        with connection.cursor() as cursor:
            cursor.execute(sys.argv[1])
            out = {"ok": [list(row) for row in cursor.fetchall()]}
except Exception as error:  # whatever it is, the user sees it
    out = {"error": {"type": type(error).__name__, "message": str(error)}}
print(json.dumps(out))
