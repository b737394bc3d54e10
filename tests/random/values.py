"""JSON that devices and clouds might say: made at random, spelled in several ways, and compared by value."""

import functools
import json
import math
import re
import subprocess

EXACT = 1 << 53  # up to here a double, which is all that jq has, tells integers apart
KEYS = ("temp", "rate", "unit", "mode", "a b", "ключ", "x.y", "url", "é", "long_" + "k" * 60)
TEXTS = ("", "on", "21.5", "null", "007", "{}", "ünï", "日本", "a\"b\\c", "tab\there", "line\nbreak", "\x7f", "😀", "z" * 300)


def number(chance):
    """One that a double holds, and that has one spelling only."""
    return chance.choice((
        lambda: chance.randint(-9, 9), lambda: chance.randint(-10 ** 6, 10 ** 6), lambda: chance.randint(-EXACT, EXACT),
        lambda: chance.randint(-10 ** 9, 10 ** 9) / 1000, lambda: chance.choice((0.1, -0.0, 1e-7, 1.5e20, 2.5e-300))))()


def value(chance, depth=2):
    pick = chance.random()
    if depth and pick < 0.12:
        return [value(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    if depth and pick < 0.3:
        return fields(chance, depth - 1, 0)
    if pick < 0.65:
        return number(chance)
    return chance.choice((chance.choice(TEXTS), chance.random() < 0.5, None, chance.choice(TEXTS)))


def fields(chance, depth=2, least=1, keys=KEYS):
    """An object."""
    return {key: value(chance, depth) for key in chance.sample(keys, chance.randint(least, 4))}


def spell(chance, what):
    """The same JSON as somebody else would write it."""
    text = json.dumps(what, ensure_ascii=chance.random() < 0.5,
                      separators=chance.choice(((",", ":"), (", ", ": "), (" ,\n", " :\t"))))
    return chance.choice((text, text, f" {text}\r\n"))


def spell_lenient(chance, what):
    """As the samples in the manuals have it, for an object."""
    text = json.dumps(what, indent=1)
    if chance.random() < 0.5 and len(what) > 0:
        text = text[:-1] + ", }"
    return chance.choice((f"// so\n{text}", f"{text} // so", text))


def parse(text):
    """Strict JSON, or ValueError."""
    def refuse(name):
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@functools.cache
def jq_keeps_numbers():
    """Does jq keep the spelling of numbers that no function touched? From 1.7 on."""
    wide = "9007199254740993"
    return subprocess.run(["jq", "-c", "."], input=wide, capture_output=True, text=True, check=True).stdout.strip() == wide


def is_kept(text):
    """Would all numbers of this JSON be the same after they went through jq?"""
    if jq_keeps_numbers():
        return True
    numbers = []

    def note(digits):
        numbers.append(digits)
        return 0

    json.loads(text, parse_int=note, parse_float=note)
    return all(_is_kept(n) for n in numbers)


def _is_kept(digits):
    if re.fullmatch(r"-?\d+", digits):
        return abs(int(digits)) <= EXACT
    as_double = float(digits)
    return not math.isinf(as_double) and (as_double != 0 or not re.search(r"[1-9].*[eE]|[1-9]", digits.split("e")[0]))


class Any:
    """Stands for what cannot be known beforehand; `accepts` is asked for what came."""

    def __init__(self, what, accepts):
        self.what, self.accepts = what, accepts

    def __repr__(self):
        return f"<{self.what}>"


def text_of(what):
    """The text that is this JSON, in whatever spelling."""
    def accepts(came):
        try:
            return isinstance(came, str) and equal(what, parse(came))
        except ValueError:
            return False

    return Any(f"text of {json.dumps(what)}", accepts)


def equal(expected, came):
    """The same value; true is not 1."""
    if isinstance(expected, Any):
        return expected.accepts(came)
    if isinstance(expected, bool) or isinstance(came, bool) or expected is None or came is None:
        return expected is came
    if isinstance(expected, dict):
        return isinstance(came, dict) and expected.keys() == came.keys() and \
            all(equal(v, came[k]) for k, v in expected.items())
    if isinstance(expected, list):
        return isinstance(came, list) and len(expected) == len(came) and all(map(equal, expected, came))
    if isinstance(expected, (int, float)):
        return isinstance(came, (int, float)) and expected == came
    return expected == came
