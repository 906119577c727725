"""The reference of Python's names, from `docs/reference/public.toml` and docstrings; nothing is imported.

Conventions: a page a room, a section a module, in the list's order. Signatures are the source's, types and
defaults as they are written there. A class has the fields, the properties and the listed methods; a field's
words are those of `Attributes`, else of the comment behind it. What a module's docstring says folds out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from built.docstrings import body, entries, escaped, markdown, sections
from polaris_rxrx import bounded

Function = ast.FunctionDef | ast.AsyncFunctionDef
_LISTS = {"Args": "param", "Raises": "raises", "Attributes": "ivar"}


def rooms(root: Path) -> dict[str, dict[str, list[str]]]:
    """Title of a room -> its modules, each with its names."""
    listed = bounded.read_toml(root / "docs" / "reference" / "public.toml")["room"]
    return {room["title"]: room["modules"] for room in listed}


def page(root: Path, room: str) -> str:
    """All of a room, without a title; of no room, what all of them hold."""
    if not room:
        return _contents(root)
    parts = list[str]()
    for module, names in rooms(root)[room].items():
        parts += _of_module(root, module, names)
    return "\n\n".join(parts)


def _contents(root: Path) -> str:
    parts = []
    for room, modules in rooms(root).items():
        parts.append(f"## {room}")
        lines = []
        for module, names in modules.items():
            owners = dict.fromkeys(name.partition(".")[0] for name in names)
            linked = ", ".join(f"{{py:obj}}`~{module}.{owner}`" for owner in owners)
            lines.append(f"- `{module.partition('.')[2]}`: {linked}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def source(root: Path, module: str) -> str:
    path = root.joinpath(*module.split("."))
    return (path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py").read_text(
        "utf-8"
    )


def _of_module(root: Path, module: str, names: list[str]) -> Iterator[str]:
    text = source(root, module)
    tree = ast.parse(text)
    summary, _, more = (ast.get_docstring(tree) or "").partition("\n\n")
    yield f"## {module.partition('.')[2] or module}"
    yield f"```{{py:module}} {module}\n```"
    yield body(summary)
    if told := markdown(more).removeprefix("**Conventions**\n\n"):
        yield f'<details class="conventions"><summary>Conventions</summary>\n\n{told}\n\n</details>'
    known = {node.name: node for node in tree.body if isinstance(node, Function | ast.ClassDef)}
    shown = set[str]()
    for name in names:
        owner = name.partition(".")[0]
        if owner in shown:
            continue
        shown.add(owner)
        if owner not in known:
            raise ValueError(f"{module} has no function or class {owner}, which public.toml lists")
        node = known[owner]
        if isinstance(node, ast.ClassDef):
            yield _class(node, text, {n.partition(".")[2] for n in names if n.startswith(f"{owner}.")})
        else:
            yield directive("function", node.name + signature(node), described(node))


def directive(kind: str, head: str, text: str, options: tuple[str, ...] = (), fence: str = "::::") -> str:
    return "\n".join([f"{fence}{{py:{kind}}} {head}", *options, "", text, fence])


def signature(node: Function, *, method: bool = False) -> str:
    """Parameters, types, defaults and what is returned, as the source has them."""
    arguments = node.args
    if method and not _is(node, "staticmethod"):
        places = arguments.posonlyargs or arguments.args
        places = places[1:]
        arguments = ast.arguments(
            posonlyargs=[],
            args=places,
            vararg=arguments.vararg,
            kwonlyargs=arguments.kwonlyargs,
            kw_defaults=arguments.kw_defaults,
            kwarg=arguments.kwarg,
            defaults=arguments.defaults,
        )
    gives = f" -> {ast.unparse(node.returns)}" if node.returns is not None else ""
    return f"({ast.unparse(arguments)}){gives}"


def _is(node: Function, *names: str) -> bool:
    return any(ast.unparse(d).rpartition(".")[2] in names for d in node.decorator_list)


def described(node: Function | ast.ClassDef, without: tuple[str, ...] = ()) -> str:
    """A docstring: words, then parameters, what is returned and what is raised, then examples."""
    words, fields, after = list[str](), list[str](), list[str]()
    for heading, text in sections(ast.get_docstring(node) or ""):
        if heading in without:
            continue
        if heading in _LISTS:
            fields += [f":{_LISTS[heading]} {name}: {escaped(told)}" for name, told in entries(text)]
        elif heading == "Returns":
            fields.append(f":returns: {escaped(' '.join(text.split()))}")
        elif heading in ("Example", "Examples"):
            after.append(body(text))
        elif heading:
            words.append(f"**{escaped(heading)}**\n\n{body(text)}")
        else:  # what follows the sections is about an example
            (after if fields else words).append(body(text))
    return "\n\n".join([*words, *(["\n".join(fields)] if fields else []), *after])


def _class(node: ast.ClassDef, text: str, methods: set[str]) -> str:
    told = {
        name: words
        for heading, listed in sections(ast.get_docstring(node) or "")
        if heading == "Attributes"
        for name, words in entries(listed)
    }
    lines = text.splitlines()
    inside = [described(node, without=("Attributes",))]
    made = ""
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name) and part.target.id[0] != "_":
            if "ClassVar" in ast.unparse(part.annotation):
                continue
            name = part.target.id
            comment = _comment(lines[(part.end_lineno or part.lineno) - 1])
            options = (f":type: {ast.unparse(part.annotation)}",)
            inside.append(directive("attribute", name, escaped(told.get(name, comment)), options, ":::"))
        elif isinstance(part, Function) and part.name == "__init__":
            made = signature(part, method=True).partition(" -> ")[0]
        elif isinstance(part, Function) and part.name[0] != "_" and _is(part, "property", "cached_property"):
            options = (f":type: {ast.unparse(part.returns)}",) if part.returns else ()
            inside.append(directive("property", part.name, described(part), options, ":::"))
        elif isinstance(part, Function) and part.name in methods:
            options = tuple(f":{n}:" for n in ("classmethod", "staticmethod") if _is(part, n))
            head = part.name + signature(part, method=True)
            inside.append(directive("method", head, described(part), options, ":::"))
    return directive("class", node.name + made, "\n\n".join(inside))


def _comment(line: str) -> str:
    """The words behind a field, if any: no field here has a `#` in a text."""
    return line.partition("  # ")[2].strip()
