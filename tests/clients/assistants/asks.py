"""A program that asks a model as Databricks' packages for OpenAI and LangChain do: `asks.py openai|gateway|langchain MODEL [stream]`.

Host and token are in the environment, as for every client of Databricks. It prints JSON lines: `ok` with the text, or `error` as the
client shows it. After the first word of a stream it waits for a line on its standard input before it reads on.
"""

import json
import sys
import time

import openai
from databricks_langchain import ChatDatabricks
from databricks_openai import DatabricksOpenAI

QUESTION = [{"role": "user", "content": "six times seven?"}]


def words(kind, model):
    """What comes of a stream, as it comes."""
    if kind == "langchain":
        yield from (chunk.content for chunk in ChatDatabricks(model=model).stream(QUESTION) if chunk.content)
        return
    for chunk in client(kind).chat.completions.create(model=model, messages=QUESTION, stream=True):
        if chunk.choices and (word := chunk.choices[0].delta.content):
            yield word


def whole(kind, model):
    if kind == "langchain":
        return ChatDatabricks(model=model).invoke(QUESTION).content
    return client(kind).chat.completions.create(model=model, messages=QUESTION).choices[0].message.content


def client(kind):
    return DatabricksOpenAI(use_ai_gateway=kind == "gateway")


def main(kind, model, *streamed):
    try:
        if not streamed:
            tell(ok=whole(kind, model))
            return
        since = time.monotonic()
        text = ""
        for word in words(kind, model):
            if not text:
                tell(first=word, seconds=time.monotonic() - since)
                sys.stdin.readline()
            text += word
        tell(ok=text)
    except openai.APIStatusError as error:
        tell(error={"type": type(error).__name__, "status": error.status_code, "message": str(error)})


def tell(**said):
    print(json.dumps(said), flush=True)


main(*sys.argv[1:])
