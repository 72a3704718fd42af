"""A program that uses Databricks' own MCP client: `managed.py SERVER TOOL…`, with host and token in the environment.

It prints JSON lines: the names of the tools that it is shown, then for each tool its answer, or the error as the client shows it.
"""

import json
import os
import sys

from databricks.sdk import WorkspaceClient
from databricks_mcp import DatabricksMCPClient


def tried(what, *arguments):
    try:
        return {"ok": what(*arguments)}
    except BaseException as error:  # an ExceptionGroup, with what the user sees in it
        one = error
        while isinstance(one, BaseExceptionGroup):
            one = one.exceptions[0]
        return {"error": {"type": type(one).__name__, "message": str(one)}}


def main(server, *tools):
    client = DatabricksMCPClient(os.environ["DATABRICKS_HOST"] + server, WorkspaceClient())

    def names():
        return [tool.name for tool in client.list_tools()]

    def call(tool):
        return client.call_tool(tool, {"query": "select 42"}).content[0].text

    print(json.dumps(tried(names)), flush=True)
    for tool in tools:
        print(json.dumps(tried(call, tool)), flush=True)


main(*sys.argv[1:])
