"""The kernels that run a page's cells: `shell`, whose cells are lines for bash, and `python3`.

Conventions
    `python kernels.py shell|python -f FILE` is one kernel; `install` writes what Jupyter starts it by.
    A page begins in an empty folder, into which the kernel puts `polaris-rxrx-demo/`, a copy of the folder
    that `$DOCS_DEMO` names, and a hidden one that is the home. What a page changes is its own. A shell cell
    is one bash, `errexit` and `pipefail` set; the folder it ends in and what it exports are where the next
    one begins. Its output, stdout and stderr together, is one stream. An exit code other than 0 is an error,
    which stops the build unless the cell is tagged `raises-exception`; then it is a line of the output. `show
    FILE.png` puts a picture below the cell. There is no terminal: nothing is colored, and no bar is drawn.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, ClassVar

COLUMNS = (
    100  # as without a terminal, and what a page shows of output without scrolling (see `_static/pages.css`)
)
LARGE = 500_000  # bytes from which a file of the demo is linked, not copied
QUIET = "--log-level=ERROR"  # not that the connection, on this machine, is not encrypted
_AFTER = """
show() { realpath -- "$@" >>"$DOCS_STATE.shown"; }
trap 'code=$?; pwd >"$DOCS_STATE.cwd"; env -0 >"$DOCS_STATE.env"; exit $code' EXIT
set -e -o pipefail
"""


def install(folder: Path) -> None:
    """Write the two kernels' specifications below a folder for `$JUPYTER_PATH`."""
    for name, kind, language in (("shell", "shell", "bash"), ("python3", "python", "python")):
        place = folder / "kernels" / name
        place.mkdir(parents=True)
        words = [sys.executable, str(Path(__file__).resolve()), kind, "-f", "{connection_file}"]
        spec = {"argv": words, "display_name": name, "language": language}
        (place / "kernel.json").write_text(json.dumps(spec), "utf-8")


def begin_page() -> None:
    """Put the demo and a home into the working directory, which is the page's."""
    home = Path.cwd() / ".home"
    home.mkdir()
    os.environ.update(HOME=str(home), XDG_CACHE_HOME=str(home / ".cache"), TMPDIR=str(home))
    demo = Path(os.environ["DOCS_DEMO"])
    for path in sorted(demo.rglob("*")):
        copy = Path("polaris-rxrx-demo") / path.relative_to(demo)
        if path.is_dir():
            copy.mkdir(parents=True)
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            (os.link if path.stat().st_size > LARGE else shutil.copy2)(path, copy)
        except OSError:
            shutil.copy2(path, copy)


class Shell:
    """Bash, cell by cell: where it is and what it has exported."""

    def __init__(self) -> None:
        self.cwd = str(Path.cwd())
        self.environment = dict(os.environ)
        self.state = Path(tempfile.mkdtemp(prefix="shell-", dir=os.environ["HOME"])) / "after"

    def run(self, cell: str) -> tuple[str, int]:
        """What a cell prints, and its exit code."""
        environment = {**self.environment, "DOCS_STATE": str(self.state)}
        words = ["bash", "-c", _AFTER + cell]
        done = subprocess.run(
            words,
            cwd=self.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.cwd = self.state.with_suffix(".cwd").read_text("utf-8").rstrip("\n")
        exported = self.state.with_suffix(".env").read_text("utf-8").split("\0")
        pairs = (line.partition("=") for line in exported if line)
        self.environment = {name: value for name, _, value in pairs if name not in ("DOCS_STATE", "_")}
        return done.stdout.decode("utf-8", "replace"), done.returncode

    def shown(self) -> list[Path]:
        """The pictures that the last cell has shown."""
        told = self.state.with_suffix(".shown")
        paths = told.read_text("utf-8").splitlines() if told.exists() else []
        told.unlink(missing_ok=True)
        return [Path(path) for path in paths]


def _run_shell() -> None:
    from ipykernel.kernelapp import IPKernelApp
    from ipykernel.kernelbase import Kernel

    class ShellKernel(Kernel):  # type: ignore[misc]
        implementation, implementation_version, banner = "shell", "1", "bash"
        language_info: ClassVar = {"name": "bash", "mimetype": "text/x-sh", "pygments_lexer": "bash"}

        def __init__(self, **words: Any) -> None:
            super().__init__(**words)
            self.shell_of_page = Shell()

        def do_execute(self, code: str, silent: bool, *_: Any, **__: Any) -> dict[str, Any]:
            printed, status = self.shell_of_page.run(code)
            if printed and not silent:
                self.send_response(self.iopub_socket, "stream", {"name": "stdout", "text": printed})
            for path in self.shell_of_page.shown():
                picture = {"image/png": base64.b64encode(path.read_bytes()).decode()}
                self.send_response(self.iopub_socket, "display_data", {"data": picture, "metadata": {}})
            told = {"execution_count": self.execution_count, "payload": [], "user_expressions": {}}
            if status == 0:
                return {"status": "ok", **told}
            error = {"ename": "Exit", "evalue": str(status), "traceback": [f"Exit code {status}"]}
            self.send_response(self.iopub_socket, "error", error)
            return {"status": "error", **told, **error}

    IPKernelApp.launch_instance(argv=[*sys.argv[1:], QUIET], kernel_class=ShellKernel)


def _run_python() -> None:
    from ipykernel.kernelapp import IPKernelApp

    options = ["--InlineBackend.figure_formats={'svg'}", "--HistoryManager.enabled=False"]
    IPKernelApp.launch_instance(argv=[*sys.argv[1:], QUIET, *options])


if __name__ == "__main__":
    kind = sys.argv.pop(1)
    sys.path[0] = ""  # the page's folder, in place of this file's
    begin_page()
    {"shell": _run_shell, "python": _run_python}[kind]()
