"""Rules about what code may call: the environment, the process, the standard streams."""
import re
from tree import line_of

GETENV_HOME = "api/src/base/settings.c"
LIBRARY = ("api/", "backends/", "plugins/")
GETENV = re.compile(r"(?<![.\w>])(?:secure_)?getenv\s*\(")
PROCESS = re.compile(r"(?<![.\w>])(exit|_exit|_Exit|quick_exit|at_quick_exit|abort)\s*\(")
PRINT = re.compile(r"(?<![.\w>])(?:v?printf|puts|putchar|perror)\s*\(|\bstdout\b|\bstderr\b")


def calls(files):
    """getenv only in api/src/base/settings.c; no exit, abort or printing in the library."""
    for f in files:
        if not f.is_c:
            continue
        if f.path != GETENV_HOME:
            for match in GETENV.finditer(f.code):
                yield (f.path, line_of(f.code, match.start()),
                       f"only {GETENV_HOME} reads the environment; use a setting")
        if not f.path.startswith(LIBRARY):
            continue
        for match in PROCESS.finditer(f.code):
            yield (f.path, line_of(f.code, match.start()),
                   f"{match.group(1)}: the library never ends the process; return a status")
        for match in PRINT.finditer(f.code):
            yield (f.path, line_of(f.code, match.start()),
                   "the library never prints; log, or write to the stream that the caller gave")
