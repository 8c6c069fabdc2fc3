"""Rules about the text of files: whitespace, length, opening comments, marks of unfinished work."""
import re

LINES_PER_FILE = 800
LINES_PER_FUNCTION = 80
COLUMNS = 100
BYTES_PER_FILE = 1 << 20
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")


def whitespace(files):
    """No tabs, no blanks at the end of a line, no CR, a newline at the end of the file."""
    for f in files:
        if not f.is_text or not f.text:
            continue
        for number, line in enumerate(f.text.split("\n"), 1):
            if "\t" in line and not f.path.startswith("tests/data/"):  # tables of its own format
                yield f.path, number, "a tab; indent with spaces"
            if line.endswith((" ", "\r")):
                yield f.path, number, "white space at the end of the line"
        if not f.text.endswith("\n") or f.text.endswith("\n\n"):
            yield f.path, f.text.count("\n"), "the file must end with one newline"


def unfinished(files):
    """No marks of unfinished work: finish it, or end in a clear error."""
    for f in files:
        if not f.is_text:
            continue
        for match in UNFINISHED.finditer(f.text):
            number = f.text.count("\n", 0, match.start()) + 1
            yield f.path, number, f"{match.group()}: finish it, or end in a clear error"


def opening(files):
    """Every C file opens with a comment that says what it is and why it exists."""
    for f in files:
        if f.is_c and not f.text.startswith("/*"):
            yield f.path, 1, "open with a comment of 1-5 lines: what the file is and why it exists"


def sizes(files):
    """Files up to 800 lines, functions up to 80, lines up to 100 columns."""
    for f in files:
        if not f.is_c:
            continue
        lines = f.text.split("\n")
        if len(lines) - 1 > LINES_PER_FILE:
            yield f.path, 1, f"{len(lines) - 1} lines (at most {LINES_PER_FILE}): split the file"
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS and "http" not in line:
                yield f.path, number, f"{len(line)} columns (at most {COLUMNS})"
        for name, first, last in functions(f.code):
            if last - first + 1 > LINES_PER_FUNCTION:
                yield f.path, first, (f"{name}: {last - first + 1} lines (at most "
                                      f"{LINES_PER_FUNCTION}): split the function")


PREPROCESSOR = re.compile(r"^[ ]*#(?:[^\n]*\\\r?\n)*[^\n]*", re.M)
BRACES = re.compile(r"[{}]")
HEAD = re.compile(r"(\w+)\s*\([^;{}]*\)\s*$")


def functions(code):
    """(name, first line, last line) of every function body, by counting braces. A brace opens a
    function when it stands outside of all others (but extern "C") and follows a `)`."""
    code = PREPROCESSOR.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), code)
    depth, name, start, end_of_last = 0, None, 0, 0
    for match in BRACES.finditer(code):
        before = code[end_of_last:match.start()]
        if match.group() == "}":
            depth = max(depth - 1, 0)
            if depth == 0 and name:
                first = code.count("\n", 0, start) + 1
                yield name, first, code.count("\n", 0, match.start()) + 1
                name = None
        elif re.search(r'extern\s+"[^"]*"\s*$', before):
            pass                     # its closing brace is absorbed by max() above
        else:
            if depth == 0:
                head = HEAD.search(before.split(";")[-1])
                if head:
                    name = re.search(r"(\w+)\s*\(", before.split(";")[-1]).group(1)
                    start = end_of_last + len(before) - len(before.split(";")[-1].lstrip())
            depth += 1
        end_of_last = match.end()


def committed(files):
    """No file over 1 MiB."""
    import os
    for f in files:
        size = os.path.getsize(f.full)
        if size > BYTES_PER_FILE:
            yield f.path, 1, f"{size} bytes (at most {BYTES_PER_FILE}): generate it, or make it smaller"
