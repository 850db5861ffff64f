"""Makes a short text that matches a regular expression, as JSON schemas have them in `pattern`. No I/O.

It knows characters, classes, groups, alternatives and repetition, but not references, lookaround and `\\p{…}`.
"""

import re
import string
from dataclasses import dataclass

LONGEST = 100
CHARACTERS = string.ascii_lowercase + string.digits + string.ascii_uppercase + " -_" + string.punctuation
CLASSES = {
    "d": string.digits,
    "D": string.ascii_lowercase,
    "w": string.ascii_lowercase + string.digits + "_",
    "W": "-",
    "s": " ",
    "S": string.ascii_lowercase,
}
CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
QUANTIFIER = re.compile(r"([*+?]|\{(\d+)(,?)(\d*)\})[?+]?")
GROUP = re.compile(r"\?(:|P?<\w+>)")
CODE = re.compile(r"u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})")


def matching(pattern: str, shortest: int = 0, longest: int = LONGEST) -> str | None:
    """Returns a text with a length in these bounds, or None if it finds none."""
    for extra in range(LONGEST + 1):
        try:
            text = Reader(pattern, extra).read()
            if len(text) >= shortest:
                return text if len(text) <= longest and re.search(pattern, text) else None
        except (ValueError, IndexError, RecursionError, re.error):
            return None
    return None


@dataclass(slots=True)
class Reader:
    """Reads the pattern once, and writes the first text that it allows.

    `extra`: how many more rounds each repetition has than it needs.
    """

    pattern: str
    extra: int
    at: int = 0

    def read(self) -> str:
        text = self._alternatives()
        if self.at < len(self.pattern):
            raise ValueError("a bracket too many")
        return text

    def _alternatives(self) -> str:
        first = self._sequence()
        while self._next_is("|"):
            self.at += 1
            self._sequence()
        return first

    def _sequence(self) -> str:
        text = ""
        while self.at < len(self.pattern) and not self._next_is("|", ")"):
            atom = self._atom()
            text += atom * min(self._rounds(), LONGEST)
            if len(text) > LONGEST:
                raise ValueError("too long")
        return text

    def _rounds(self) -> int:
        found = QUANTIFIER.match(self.pattern, self.at)
        if found is None:
            return 1
        self.at = found.end()
        sign, low, comma, high = found.groups()
        if low is None:
            return 1 if sign == "?" and self.extra else int(sign == "+") + self.extra * (sign != "?")
        most = int(high) if high else LONGEST if comma else int(low)
        return min(int(low) + self.extra, most)

    def _atom(self) -> str:
        character = self._take()
        match character:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()[0]
            case "^" | "$":
                return ""
        return "a" if character == "." else character

    def _group(self) -> str:
        if found := GROUP.match(self.pattern, self.at):
            self.at = found.end()
        elif self._next_is("?"):
            raise ValueError("a group of another kind")
        text = self._alternatives()
        self._take()
        return text

    def _class(self) -> str:
        """One of the characters of a class such as `[a-z_]`."""
        excludes = self._next_is("^")
        self.at += excludes
        listed = ""
        while not (self._next_is("]") and listed):
            character = self._take()
            members = self._escape() if character == "\\" else character
            if self._next_is("-") and self.pattern[self.at + 1] != "]":
                self.at += 1
                end = self._take()
                end = self._escape() if end == "\\" else end
                members = "".join(map(chr, range(ord(members), ord(end) + 1)))
            listed += members
        self.at += 1
        return next(one for one in CHARACTERS if one not in listed) if excludes else listed[0]

    def _escape(self) -> str:
        """The characters that an escape stands for."""
        if found := CODE.match(self.pattern, self.at):
            self.at = found.end()
            return chr(int(found[1] or found[2], 16))
        character = self._take()
        if character.isdigit() or character in "bBpPk":
            raise ValueError("an escape of another kind")
        return CLASSES.get(character) or CONTROLS.get(character, character)

    def _take(self) -> str:
        self.at += 1
        return self.pattern[self.at - 1]

    def _next_is(self, *characters: str) -> bool:
        return self.pattern[self.at : self.at + 1] in characters
