"""`make book`: build the site into _build/html, strictly, and say where it is.

Sphinx reads only the pages whose text changed, so a warm build executes nothing. What a page's text does not show
(the package, the lock, data, settings) is hashed here: when the hash changes, or the last build did not finish,
everything is built afresh. Without that, a failed build succeeds when repeated, with the broken cell in it. When only
the looks change (theme, styles, scripts), all pages are written anew, and none is executed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

if __package__ is None:  # run as `python tools/build.py`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.settings import BUILD, ROOT, SITE, chapters, environment, pages

DIGEST = BUILD / "inputs.sha256"  # of the inputs, then of the looks; written when a build has finished well
LOG = BUILD / "build.log"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def inputs() -> list[Path]:
    """Return every file that pages depend on without naming it."""
    named = ("_config.yml", "_toc.yml", "requirements.txt", "pyproject.toml", "tools/build.py", "tools/settings.py")
    found = [ROOT / name for name in named]
    for folder in ("mathdl", "book/_ext", "book/_data", "book/_experiments"):
        found += files(ROOT / folder)
    sklearn = importlib.util.find_spec("sklearn")
    if sklearn is not None and sklearn.origin is not None:  # the real data sets ship inside it
        found += files(Path(sklearn.origin).parent / "datasets" / "data")
    return found


def looks() -> list[Path]:
    """Return every file that decides how pages look, and nothing of what cells compute."""
    return files(ROOT / "book/_theme") + files(ROOT / "book/_static")


def files(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted, without what Python leaves there."""
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")


def digest(paths: list[Path]) -> str:
    """Return one hash over the files, their names included, and the Python that runs them."""
    total = hashlib.sha256(sys.version.encode())
    for path in paths:
        total.update(os.fsencode(path.name))
        total.update(path.read_bytes() if path.exists() else b"absent")
    return total.hexdigest()


#: Jupyter Book's command, told what it has no option for: how many chapters Sphinx may execute side by side.
JUPYTER_BOOK = """
import functools, sys
import jupyter_book.cli.main, jupyter_book.sphinx as builder
builder.build_sphinx = functools.partial(builder.build_sphinx, jobs=int(sys.argv.pop(1)))
jupyter_book.cli.main.main()
"""


def run_jupyter_book() -> int:
    """Run the build, showing and logging what it says; return its exit status."""
    jobs = str(min(os.cpu_count() or 1, 4) if sys.platform == "linux" else 1)  # Sphinx forks, which others do badly
    if not (BUILD / ".doctrees").exists():
        print(f"Executing the chapters, {jobs} at a time, which takes some minutes.", flush=True)
    command = [sys.executable, "-c", JUPYTER_BOOK, jobs, "build", "-W", "-n", "--keep-going", str(ROOT)]
    with (
        LOG.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**environment(), "NO_COLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=os.name != "nt",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                line = ANSI.sub("", line)
                log.write(line)
                if interesting(line):
                    print(line, end="", flush=True)
        except KeyboardInterrupt:
            if os.name != "nt":
                os.killpg(process.pid, signal.SIGTERM)
            raise
    return process.returncode


def interesting(line: str) -> bool:
    """Whether a line of the build's output tells a person something while it runs."""
    return "Executed notebook" in line or ("WARNING" in line and "IPKernelApp" not in line)


def failed_cells() -> list[str]:
    """Return one sentence for each chapter that raised: the chapter, the cell and the exception."""
    sentences = []
    for page in chapters():
        report = SITE / "reports" / page.relative_to(ROOT).with_suffix(".err.log")
        if not report.exists():
            continue
        text = ANSI.sub("", report.read_text(encoding="utf-8"))
        lines = [line for line in text.strip().splitlines() if line.strip()]
        match = re.search(r"following cell:\n-+\n(.*?)\n-+\n", text, re.DOTALL)
        where = cell_number(page, match.group(1)) if match else "a cell"
        exception = next(
            (
                line
                for line in reversed(lines)
                if re.match(r"[\w.]+(Error|Exception|Warning|Derivative|Input|\w+): ", line)
            ),
            lines[-1],
        )
        sentences.append(f"{page.relative_to(ROOT)}: {where} raised {exception}")
    return sentences


def cell_number(page: Path, source: str) -> str:
    """Say which code cell of ``page`` has this source: its number, counted from 1, and its line."""
    text = page.read_text(encoding="utf-8")
    cells = list(re.finditer(r"^```\{code-cell\}.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    for number, cell in enumerate(cells, 1):
        if source.strip() and source.strip() in cell.group(1):
            return f"code cell {number} (line {text[: cell.start()].count(chr(10)) + 1})"
    return "a cell"


def problems() -> list[str]:
    """Return what is wrong with the built site although Sphinx was content."""
    found = []
    for page in pages():
        html = SITE / page.relative_to(ROOT).with_suffix(".html")
        if not html.exists():
            found.append(f"{html.relative_to(ROOT)} was not written")
        elif re.search(r'class="katex-error|#cc0000', html.read_text(encoding="utf-8")):
            found.append(f"{html.relative_to(ROOT)} has maths that KaTeX cannot render (shown in red on the page)")
    return found


def main() -> int:
    started = time.perf_counter()
    now = [digest(inputs()), digest(looks())]
    then = DIGEST.read_text(encoding="utf-8").split() if DIGEST.exists() else []
    if then[:1] != now[:1]:
        for stale in (BUILD / ".doctrees", SITE, BUILD / "jupyter_execute"):
            shutil.rmtree(stale, ignore_errors=True)
    elif then != now:
        shutil.rmtree(SITE, ignore_errors=True)  # Sphinx writes what is missing, from what it has read before
    BUILD.mkdir(exist_ok=True)
    DIGEST.unlink(missing_ok=True)  # until this build has finished well
    status = run_jupyter_book()
    wrong = failed_cells() + (problems() if status == 0 else [])
    if status or wrong:
        print(f"\nThe book was not built. Everything the build said is in {LOG.relative_to(ROOT)}.")
        print("\n".join(wrong) if wrong else last_complaints())
        return 1
    DIGEST.write_text("\n".join(now), encoding="utf-8")
    print(f"\nThe book is built ({time.perf_counter() - started:.0f} s): open {SITE / 'index.html'}")
    return 0


def last_complaints() -> str:
    """Return what the log says of a failure that is no chapter's: the error that ended the build, else its warnings."""
    lines = LOG.read_text(encoding="utf-8").splitlines()
    errors = [line.partition(": ")[2] for line in lines if line.startswith(("sphinx.errors.", "docutils."))]
    return "\n".join(errors[-1:] or [line for line in lines if interesting(line) or "Error: " in line][-8:])


if __name__ == "__main__":
    sys.exit(main())
