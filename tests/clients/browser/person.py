"""What a person does in a real browser: opens the page that a client sends them to, and fills in the form of the company's provider.

Started by a client as its browser, with the address as the only argument; who the person is, is in the environment. Writes one JSON
line of where the browser was, and where it could not go on.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.parse

from playwright.sync_api import Error, sync_playwright


def main() -> None:
    told: dict[str, object] = {}
    seen: list[str] = []
    with sync_playwright() as playwright:
        # no sandbox: tests run as root, in containers; the certificate is of the tests' own CA
        browser = playwright.chromium.launch(executable_path=os.environ["PERSON_CHROMIUM"], args=["--no-sandbox"])
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.set_default_timeout(30_000)
        page.on("request", lambda one: seen.append(where(one.url)) if one.is_navigation_request() else None)
        try:
            page.goto(sys.argv[1])
            page.fill("#username", os.environ["PERSON_NAME"])
            page.fill("#password", os.environ["PERSON_PASSWORD"])
            page.click("#kc-login")
            # a client that wants to stay signed in asks for consent, as OpenID Connect has it
            page.wait_for_selector("#kc-oauth, body:not(:has(#kc-login))")
            if page.query_selector("#kc-oauth"):
                page.click("[name=accept]")
            page.wait_for_url(lambda url: urllib.parse.urlsplit(url).hostname == "localhost")
            told["text"] = page.inner_text("body")[:200]
        except Error as error:
            told["error"], told["text"] = str(error), page.inner_text("body")[:500]
        browser.close()
    with open(os.environ["PERSON_LOG"], "a") as log:
        log.write(json.dumps({**told, "seen": seen}) + "\n")


def where(url: str) -> str:
    """An address without its query, which holds codes."""
    return url.partition("?")[0].partition("#")[0]


if __name__ == "__main__":
    main()
