"""Docstrings in the house's form, as Markdown.

Conventions
    A line at the margin with indented lines right below it heads a section. Text within backticks is code;
    all else is taken literally: what Markdown would read as markup is escaped. Paragraphs, numbered and
    dashed lists, lists of terms (`term  text`, two blanks or more) and examples (`>>>`) are known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent

_CODE = re.compile(r"(``.+?``|`[^`]+`)", re.S)
_SPECIAL = re.compile(r"([\\*_<>\[\]|$#~])")
_ITEM = re.compile(r"(?:\d+\.|-) \S")
_LISTED = re.compile(r"(?:\d+\.|-) ")
_TERM = re.compile(r"(\S+(?: \S+)*) {2,}(\S.*)")


def escaped(text: str) -> str:
    """Text that Markdown shows as it is; what stands in backticks stays code."""
    pieces = _CODE.split(text)
    return "".join(p if i % 2 else _SPECIAL.sub(r"\\\1", p) for i, p in enumerate(pieces))


def sections(doc: str) -> Iterator[tuple[str, str]]:
    """Heading (empty for what stands outside of sections), and the text below it without indentation."""
    lines = dedent(doc).strip("\n").splitlines()
    heading, held = "", list[str]()
    for i, line in enumerate(lines):
        margin = bool(line) and not line[0].isspace()
        if margin and _heads(lines, i):
            if any(held):
                yield heading, dedent("\n".join(held)).strip("\n")
            heading, held = line.rstrip(":"), []
        elif margin and heading:
            if any(held):
                yield heading, dedent("\n".join(held)).strip("\n")
            heading, held = "", [line]
        else:
            held.append(line)
    if any(held):
        yield heading, dedent("\n".join(held)).strip("\n")


def _heads(lines: list[str], i: int) -> bool:
    """Whether a line at the margin heads what is below it: it stands alone, and that is indented."""
    before = lines[i - 1] if i else ""
    below = lines[i + 1] if i + 1 < len(lines) else ""
    alone = not before or before[0].isspace()
    return (
        alone and below[:1] == " " and not lines[i].startswith((">>>", "...")) and not _ITEM.match(lines[i])
    )


def entries(text: str) -> list[tuple[str, str]]:
    """`name: words` of a section such as Args, on one line each."""
    found = list[tuple[str, str]]()
    for line in text.splitlines():
        match = re.match(r"([\w.*, ]+?): (\S.*)", line)
        if match and not line[0].isspace():
            found.append((match[1], match[2]))
        elif found and line.strip():
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return found


def items(text: str) -> list[str]:
    """The numbered items of a text, each in one line, in order; they count from 1."""
    found = list[str]()
    for line in text.splitlines():
        match = re.match(r"(?:(\d+)\.|\[(\d+)\]) +(\S.*)", line)
        if match and int(match[1] or match[2]) == len(found) + 1:
            found.append(match[3].strip())
        elif found and line[:1] == " ":
            found[-1] += f" {line.strip()}"
        elif found and line:
            break
    return found


def body(text: str) -> str:
    """A section's text as Markdown."""
    return "\n\n".join(_block(block) for block in re.split(r"\n\s*\n", text))


def _block(block: str) -> str:
    """What stands between two empty lines: an example, or paragraphs, items and terms."""
    lines = block.splitlines()
    if lines[0].lstrip().startswith(">>>"):
        return "\n".join(["```pycon", dedent(block), "```"])
    made = list[str]()  # each paragraph, item or term in one line
    terms_at = -1  # the indentation of terms, once there are some
    for line in lines:
        words = line.strip()
        indent = len(line) - len(line.lstrip())
        if _ITEM.match(words) and (not made or indent == 0):
            mark, _, rest = words.partition(" ")
            made.append(f"{mark} {escaped(rest)}")
        elif (match := _TERM.fullmatch(words)) and terms_at in (-1, indent):
            terms_at = indent
            made.append(f"- **{escaped(match[1])}**: {escaped(match[2])}")
        elif made and (indent > 0 or not _LISTED.match(made[-1])):
            made[-1] += f" {escaped(words)}"
        else:
            made.append(escaped(words))
    text = ""
    for i, line in enumerate(made):
        together = i and _LISTED.match(line) and _LISTED.match(made[i - 1])
        text += ("\n" if together else "\n\n" if i else "") + line
    return text


def markdown(doc: str) -> str:
    """A whole docstring; headings of sections are bold."""
    parts = []
    for heading, text in sections(doc):
        if heading:
            parts.append(f"**{escaped(heading)}**")
        parts.append(body(text))
    return "\n\n".join(parts)
