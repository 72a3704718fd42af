"""Packs the table's text and numbers for the module, which unpacks them at its start (src/databricks/catalogue/packed.rs).

A packed string is a row of steps. Each is a byte of two halves, how many bytes follow as they are and how many more than three are said
again, where 15 means that a number with the rest follows; those bytes; and how far back what is said again stands. A last step may say
nothing again. Numbers are seven bits a byte, the least first, the highest bit set on all but the last.
"""

SHORTEST, LONGEST, TRIES = 3, 4000, 32


def number(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def column(values, steps=False):
    """Numbers as bytes: how many bytes each takes, 128 more if they are differences; then all lowest bytes, all next ones, …"""
    width = max(1, (max(values).bit_length() + 7) // 8)
    if steps:
        values = [(value - before) % (1 << 8 * width) for value, before in zip(values, [0, *values])]
    planes = (bytes(value >> 8 * place & 0xFF for value in values) for place in range(width))
    return bytes([width | (0x80 if steps else 0)]) + b"".join(planes)


def spans(found):
    """Spans of a text as two columns: how far each begins behind the end of the one before, and how long it is."""
    gaps, end = [], 0
    for at, length in found:
        gaps.append((at - end) & 0xFFFFF)
        end = at + length
    return column(gaps) + column([length for _, length in found])


def pack(data):
    """The shortest row of steps, as far as matches are looked for."""
    cost, choice = [0] * (len(data) + 1), [None] * (len(data) + 1)
    for at, matches in reversed(list(enumerate(candidates(data)))):
        cost[at], choice[at] = cost[at + 1] + 17, (1, 0)
        for length, back in matches:
            step = 16 * (1 + len(number(back)))
            for shorter in {length, length - 1, length - 2, 3, 4, 5, min(length, SHORTEST + 14)}:
                if SHORTEST <= shorter <= length:
                    extra = 16 if shorter - SHORTEST >= 15 else 0
                    total = cost[at + shorter] + step + extra
                    if total < cost[at]:
                        cost[at], choice[at] = total, (shorter, back)
    return written(data, choice)


def candidates(data):
    """For each place the matches worth a choice: each longer than those that stand nearer."""
    last, before = {}, [-1] * len(data)
    for at in range(len(data)):
        found, longest, tries = [], SHORTEST - 1, TRIES
        key = data[at : at + SHORTEST]
        other = last.get(key, -1) if len(key) == SHORTEST else -1
        while other >= 0 and tries:
            room = min(len(data) - at, LONGEST)
            if longest < room and data[other + longest] == data[at + longest]:
                length = SHORTEST
                while length < room and data[other + length] == data[at + length]:
                    length += 1
                if length > longest:
                    longest = length
                    found.append((length, at - other))
            other, tries = before[other], tries - 1
        if len(key) == SHORTEST:
            before[at], last[key] = last.get(key, -1), at
        yield found


def written(data, choice):
    out, literals, at = bytearray(), bytearray(), 0

    def half(value):
        return min(value, 15), number(value - 15) if value >= 15 else b""

    def step(length, back):
        kept, more_kept = half(len(literals))
        again, more_again = half(length - SHORTEST) if length else (0, b"")
        out.extend([kept << 4 | again, *more_kept, *literals])
        if length:
            out.extend([*number(back), *more_again])
        literals.clear()

    while at < len(data):
        length, back = choice[at]
        if back:
            step(length, back)
        else:
            literals.append(data[at])
        at += length
    if literals:
        step(0, 0)
    return bytes(out)


def unpacked(packed):
    """What the module makes of it; for the tests."""
    out, at = bytearray(), 0

    def read():
        nonlocal at
        value = shift = 0
        while True:
            byte = packed[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(packed):
        halves, at = packed[at], at + 1
        kept = halves >> 4
        kept += read() if kept == 15 else 0
        out += packed[at : at + kept]
        at += kept
        if at == len(packed):
            break
        back = read()
        length = (halves & 15) + SHORTEST
        length += read() if halves & 15 == 15 else 0
        for _ in range(length):
            out.append(out[-back])
    return bytes(out)
