"""A program that calls a tool of an MCP server: `tools.py URL TOOL`. It finds out by itself where one signs in, and sends its person there.

What it knows is the client that the company registered for it (`CLIENT_ID`). It prints one JSON line.
"""

import asyncio
import json
import os
import sys
import webbrowser
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth.oauth2 import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

REDIRECT = "http://localhost:8020/callback"


class Memory:
    """Where a client keeps what it has got."""

    tokens = None
    known = OAuthClientInformationFull(
        client_id=os.environ["CLIENT_ID"], redirect_uris=[REDIRECT], token_endpoint_auth_method="none"
    )

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.known

    async def set_client_info(self, known):
        self.known = known


class Callback(BaseHTTPRequestHandler):
    brought = None

    def do_GET(self):
        Callback.brought = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"You may close this window.")

    def log_message(self, *_):
        pass


async def main(url, tool):
    listening = HTTPServer(("localhost", 8020), Callback)

    async def open_browser(where):
        webbrowser.open_new(where)

    async def come_back():
        await asyncio.to_thread(listening.handle_request)
        brought = Callback.brought
        return AuthorizationCodeResult(code=brought["code"], state=brought.get("state"), iss=brought.get("iss"))

    memory = Memory()
    metadata = OAuthClientMetadata(redirect_uris=[REDIRECT], token_endpoint_auth_method="none")
    sign_in = OAuthClientProvider(url, metadata, memory, open_browser, come_back)
    async with httpx2.AsyncClient(auth=sign_in, timeout=60) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            tools = [one.name for one in (await client.list_tools()).tools]
            result = await client.call_tool(tool, {"query": "select 42"})
            said = {"tools": tools, "text": result.content[0].text}
    print(json.dumps({"ok": said, "token": memory.tokens.access_token}))


try:
    asyncio.run(main(*sys.argv[1:]))
except BaseException as error:  # an ExceptionGroup, with what the user sees in it
    one = error
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    print(json.dumps({"error": {"type": type(one).__name__, "message": str(one)}}))
