"""Rules that other programs judge: clang-format, and nm on what was built."""
import glob
import os
import re
import shutil
import subprocess

FORMAT_MAJOR = "14"


class Skip(Exception):
    """The rule cannot be checked here; says why."""


def clang_format():
    for name in (f"clang-format-{FORMAT_MAJOR}", "clang-format"):
        path = shutil.which(name)
        if path:
            version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
            if re.search(rf"version {FORMAT_MAJOR}\.", version):
                return path
    raise Skip(f"there is no clang-format {FORMAT_MAJOR}; other versions format differently")


def format_all(files, fix=False):
    """clang-format, on all C and OpenCL C."""
    program = clang_format()
    paths = [f.full for f in files if f.is_c]
    if not paths:
        return
    mode = ["-i"] if fix else ["--dry-run", "-Werror"]
    done = subprocess.run([program, "--style=file", *mode, *paths], capture_output=True, text=True)
    root = files[0].root + os.sep
    seen = set()
    for match in re.finditer(r"^(.+?):(\d+):\d+: error: ", done.stderr, re.M):
        path = match.group(1).replace(root, "")
        if path not in seen:
            seen.add(path)
            yield path, int(match.group(2)), "not formatted from here on; run ./dev format"
    if done.returncode and not seen:
        yield ".clang-format", 1, done.stderr.strip()


def symbols(library, which):
    command = ["nm", "-D", which, "--format=posix", library]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = [line.split()[0].split("@")[0] for line in text.splitlines() if line.strip()]
    # Sanitizers and the compiler's own start-up code add names that begin with underscores.
    return [name for name in names if not name.startswith("_")]


def exports(lib_dir):
    """A plugin exports one symbol and imports none of libweft; libweft exports weft_<noun>..."""
    if not lib_dir or not os.path.isdir(lib_dir):
        raise Skip("nothing is built; give --lib <build>/lib")
    for path in sorted(glob.glob(os.path.join(lib_dir, "weft", "plugins-*", "*.so"))):
        found = symbols(path, "--defined-only")
        if found != ["weft_plugin_v1"]:
            yield path, 1, f"exports {' '.join(found) or 'nothing'}; must be weft_plugin_v1 alone"
        for name in symbols(path, "--undefined-only"):
            if name.startswith("weft_"):
                yield path, 1, f"imports {name}; a plugin gets everything through tables"
    for path in sorted(glob.glob(os.path.join(lib_dir, "libweft.so"))):
        for name in symbols(path, "--defined-only"):
            if not re.match(r"weft_[a-z]", name) or name.startswith("weft_plugin_v"):
                yield path, 1, f"exports {name}; only weft_<noun>_<verb> functions are public"
