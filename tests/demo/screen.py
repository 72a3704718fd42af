"""How the demo looks: lines of at most WIDTH columns, tokens by their first characters."""

from __future__ import annotations

import json
import os
import sys
import textwrap

from stack import Response, Seen

WIDTH = 100
LABEL = 12
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
BOLD, DIM, GREEN, RED, PLAIN = ("\033[1m", "\033[2m", "\033[32m", "\033[31m", "\033[0m") if COLOUR else ("",) * 5


def short(token: str) -> str:
    return token[:10] + "…"


def show(label: str, lines: list[str], colour: str = "") -> None:
    """A label, and beside it the lines; one that is too long goes on below, indented."""
    for n, text in enumerate(lines):
        for m, part in enumerate(textwrap.wrap(text, WIDTH - LABEL - 3, subsequent_indent="  ") or [""]):
            print(f"   {colour}{'' if n or m else label:<{LABEL}}{PLAIN if colour else ''}{part}")


def title(number: int, text: str) -> None:
    print(f"\n{BOLD}{number:>2} {text}{PLAIN}")


def heading(text: str) -> None:
    print(f"\n{BOLD}{text}{PLAIN}\n")


def verdict(claim: str, holds: bool) -> None:
    show("ok" if holds else "NOT SO", [claim], GREEN if holds else RED)


def record(fields: dict[str, object]) -> None:
    """JSON, as many members on a line as there is room for."""
    members = [f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in fields.items()]
    line = "   {"
    for n, member in enumerate(members):
        piece = member + ("}" if n == len(members) - 1 else ", ")
        if len(line) + len(piece.rstrip()) > WIDTH:
            print(line.rstrip())
            line = "    "
        line += piece
    print(line)


def request(method: str, target: str, token: str, who: str, body: str | None) -> list[str]:
    return [f"{method} {target}", f"Authorization: Bearer {short(token)} ({who})", *([body] if body else [])]


def header(name: str, value: str) -> str:
    kind, _, rest = value.partition(" ")
    return f"{name}: {kind} {short(rest)}" if name.lower() == "authorization" else f"{name}: {value}"


def seen(one: Seen) -> list[str]:
    """A request as it came to Databricks."""
    if one.is_exchange:
        return [f"POST /oidc/v1/token{'  Authorization: Basic …' if one.header('authorization') else ''}", _form(one)]
    token = (one.header("authorization") or "").removeprefix("Bearer ")
    who = one.who or "nobody that it knows"
    stamp = (one.header("user-agent") or "").split()[-2:]
    return [
        f"{one.method} {one.target}",
        f"Authorization: Bearer {short(token)} (a Databricks token of {who})",
        f"X-Databricks-Org-Id: {one.header('x-databricks-org-id')}",
        f"User-Agent: … {' '.join(stamp)}",
    ]


def _form(one: Seen) -> str:
    form = one.form
    form["grant_type"] = form["grant_type"].rsplit(":", 1)[-1]
    form.pop("subject_token_type", None)
    if "subject_token" in form:
        form["subject_token"] = short(form["subject_token"])
    return " ".join(f"{name}={value}" for name, value in form.items())


def answer(reply: Response) -> list[str]:
    if reply.status < 400 or "details" not in reply.text:
        return [f"{reply.status} {_clip(reply.text)}"]
    body = reply.json()
    info = body["details"][0]
    code = f" ({info['metadata']['code']})" if "code" in info.get("metadata", {}) else ""
    return [f"{reply.status} {body['error_code']}, reason {info['reason']}{code}:", f"  {body['message']}"]


def _clip(text: str, width: int = 80) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
