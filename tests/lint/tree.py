"""The files of the project and their C text without comments: what every rule works on."""
import os
import re
import subprocess

C_SUFFIXES = (".c", ".h", ".cl", ".clh")
TEXT_SUFFIXES = C_SUFFIXES + (".md", ".txt", ".cmake", ".in", ".py", ".sh", ".json", ".supp")
TEXT_NAMES = ("dev", "run", ".clang-format", ".gitignore")


class File:
    """One file: its path from the root, with slashes, and its text, read when asked for."""

    def __init__(self, root, path):
        self.root, self.path = root, path
        self._text = self._code = None

    @property
    def full(self):
        return os.path.join(self.root, self.path)

    @property
    def is_c(self):
        return self.path.endswith(C_SUFFIXES)

    @property
    def is_text(self):
        name = os.path.basename(self.path)
        return self.path.endswith(TEXT_SUFFIXES) or name in TEXT_NAMES

    @property
    def text(self):
        if self._text is None:
            with open(self.full, encoding="utf-8", errors="replace", newline="") as stream:
                self._text = stream.read()
        return self._text

    @property
    def code(self):
        """The text with comments, strings and characters blanked; lines keep their numbers."""
        if self._code is None:
            self._code = blank(self.text)
        return self._code


PIECES = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(text):
    def keep_lines(match):
        piece = match.group()
        edge = piece[0] if piece[0] in "\"'" else " "
        return edge + re.sub(r"[^\n]", " ", piece[1:-1]) + edge
    return PIECES.sub(keep_lines, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def files(root):
    """Tracked files and new ones that git does not ignore; without git, all outside build folders."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, capture_output=True, check=True)
        paths = set(done.stdout.decode().split("\0")) - {""}
    except (OSError, subprocess.CalledProcessError):
        paths = set(walk(root))
    return [File(root, p) for p in sorted(paths) if os.path.isfile(os.path.join(root, p))]


def walk(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in (".git", "build", "__pycache__")]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
