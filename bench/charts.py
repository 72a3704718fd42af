"""Draws what was found, as SVG without fonts or scripts of its own."""

from __future__ import annotations

import math
from html import escape

import summary
from summary import Result

INK, FAINT, PAPER = "#24292f", "#d0d7de", "#ffffff"
COLOURS = ["#57606a", "#cf222e", "#bf8700", "#1a7f37", "#0969da", "#8250df", "#bc4c00", "#bf3989"]
FONT = 'font-family="Helvetica, Arial, sans-serif" font-size="13"'


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = INK, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{more}>{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str = FAINT) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def picture(width: int, height: int, title: str, parts: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" {FONT}>'
    ground = f'<rect width="{width}" height="{height}" fill="{PAPER}"/>'
    shown = text(16, 24, title, more=' font-weight="bold"')
    return "\n".join([head, f"<title>{escape(title)}</title>", ground, shown, *parts, "</svg>"]) + "\n"


def where(result: Result) -> str:
    name = result["gateway"].capitalize()
    return f"{name} {result['versions'][result['gateway']]}"


def nice(most: float) -> float:
    """A round number of at least this."""
    scale = 10 ** math.floor(math.log10(most))
    return next(step * scale for step in (1, 2, 2.5, 5, 10) if step * scale >= most)


def costs(result: Result) -> str:
    """A bar for each part of what a request costs."""
    found = summary.parts(result)
    left, right, top, row = 250, 640, 60, 28
    most = nice(max(figure.median for _, figure in found))
    height = top + row * len(found) + 40

    def x(value: float) -> float:
        return left + (right - left) * max(value, 0) / most

    parts = [
        text(
            16,
            44,
            "microseconds of the worker's processor time for a request; whiskers: least and most of all rounds",
            colour="#57606a",
        )
    ]
    for step in range(5):
        at = x(most * step / 4)
        parts += [line(at, top, at, height - 30), text(at, height - 12, f"{most * step / 4:g}", "middle")]
    for number, (name, figure) in enumerate(found):
        y = top + row * number + 4
        colour = COLOURS[0] if number == 0 else COLOURS[4]
        parts.append(text(left - 10, y + 15, name, "end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{x(figure.median) - left:.1f}" height="20" fill="{colour}"/>')
        parts.append(line(x(figure.least), y + 10, x(figure.most), y + 10, INK))
        parts.append(text(x(max(figure.most, figure.median)) + 8, y + 15, f"{figure.median:.0f}"))
    return picture(720, height, f"What a request costs in {where(result)}, by part", parts)


def latencies(result: Result) -> str:
    """A line for each contestant: milliseconds by percentile, the percentiles by their nines."""
    found = result["latency"]["milliseconds"]
    names = list(next(iter(found.values())))
    left, right, top, bottom = 60, 680, 60, 340
    values = [value for one in found.values() for value in one.values()]
    low, high = math.floor(math.log10(max(min(values), 1e-3)) * 2) / 2, math.ceil(math.log10(max(values)) * 2) / 2

    def x(percentile: str) -> float:
        first, last = (-math.log10(1 - float(name[1:]) / 100) for name in (names[0], names[-1]))
        return left + (right - left) * (-math.log10(1 - float(percentile[1:]) / 100) - first) / (last - first)

    def y(value: float) -> float:
        return bottom - (bottom - top) * (math.log10(max(value, 1e-3)) - low) / (high - low)

    rate = f"{result['latency']['rate']:,} requests a second, whether answered or not"
    parts = [text(16, 44, f"milliseconds at {rate}, by percentile", colour="#57606a")]
    for step in range(int(round((high - low) * 2)) + 1):
        value = 10 ** (low + step / 2)
        parts += [line(left, y(value), right, y(value)), text(left - 8, y(value) + 4, f"{value:.3g}", "end")]
    parts += [text(x(name), bottom + 20, name, "middle") for name in names]
    for number, (contestant, measured) in enumerate(found.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(name):.1f},{y(value):.1f}" for name, value in measured.items())
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        column, row = number % 2, number // 2
        at = left + 320 * column
        parts.append(f'<rect x="{at}" y="{bottom + 36 + 20 * row}" width="12" height="12" fill="{colour}"/>')
        parts.append(text(at + 18, bottom + 47 + 20 * row, contestant))
    height = bottom + 60 + 20 * math.ceil(len(found) / 2)
    return picture(720, height, f"Latency through {where(result)}", parts)
