"""A program that asks a model: `models.py openai|anthropic BASE_URL MODEL [stream]`, with the token in the environment, and in `PROVIDER`
the service that is to answer, if it is not the workspace's own.

It prints JSON lines: `ok` with the text, or `error` as the client shows it. A stream's words are lines of their own, and after the first
one the program waits for a line on its standard input before it reads on.
"""

import json
import os
import sys
import time

import anthropic
import openai

PICKED = {"Databricks-Model-Provider-Service": os.environ["PROVIDER"]} if "PROVIDER" in os.environ else {}
QUESTION = [{"role": "user", "content": "six times seven?"}]


def words(kind, base, model):
    """What comes of a stream, as it comes."""
    token = os.environ["DATABRICKS_TOKEN"]
    if kind == "openai":
        client = openai.OpenAI(base_url=base, api_key=token, default_headers=PICKED)
        for chunk in client.chat.completions.create(model=model, messages=QUESTION, stream=True):
            if word := chunk.choices[0].delta.content:
                yield word
    else:
        client = anthropic.Anthropic(base_url=base, auth_token=token, default_headers=PICKED)
        with client.messages.stream(model=model, max_tokens=10, messages=QUESTION) as stream:
            yield from stream.text_stream


def whole(kind, base, model):
    token = os.environ["DATABRICKS_TOKEN"]
    if kind == "openai":
        client = openai.OpenAI(base_url=base, api_key=token, default_headers=PICKED)
        return client.chat.completions.create(model=model, messages=QUESTION).choices[0].message.content
    client = anthropic.Anthropic(base_url=base, auth_token=token, default_headers=PICKED)
    return client.messages.create(model=model, max_tokens=10, messages=QUESTION).content[0].text


def main(kind, base, model, *streamed):
    try:
        if not streamed:
            tell(ok=whole(kind, base, model))
            return
        since = time.monotonic()
        text = ""
        for word in words(kind, base, model):
            if not text:
                tell(first=word, seconds=time.monotonic() - since)
                sys.stdin.readline()
            text += word
        tell(ok=text)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        tell(error={"type": type(error).__name__, "status": error.status_code, "message": str(error)})


def tell(**said):
    print(json.dumps(said), flush=True)


main(*sys.argv[1:])
