"""Who may include whom, as ARCHITECTURE.md draws it."""
import os
import re
from tree import line_of

ROOMS = ["base", "registry", "graph", "model", "plan", "train"]
INCLUDE = re.compile(r'^[ ]*#[ ]*include[ ]*([<"])([^>"\n]+)[>"]', re.M)
STANDARD = re.compile(r"(assert|complex|ctype|errno|fenv|float|inttypes|iso646|limits|locale|math|"
                      r"setjmp|signal|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio|stdlib|"
                      r"stdnoreturn|string|tgmath|threads|time|uchar|wchar|wctype)\.h")
# A library's header, by prefix, and the folders that may use it.
HOMES = {
    "CL/": ("backends/opencl/",),
    "clblast": ("backends/opencl/",),
    "cblas.h": ("backends/cpu/",),
    "ltdl.h": ("api/src/registry/",),
    "hdf5": ("plugins/keras/", "tests/"),
    "jansson.h": ("plugins/keras/", "tests/"),
}


def zone(path):
    """The part of the project that a file belongs to: the unit that the rules are about."""
    parts = path.split("/")
    if path.startswith("api/include/"):
        return "api/include"
    if path.startswith("api/src/") and len(parts) > 3:
        return "/".join(parts[:3])
    if parts[0] in ("backends", "plugins", "tests", "tools", "bench") and len(parts) > 2:
        return "/".join(parts[:2])
    return parts[0]


def includes(files):
    """Downward only: users -> api/include; a room of api/src -> the rooms before it."""
    known = {f.path for f in files}
    for f in files:
        if f.is_c:
            # Strings are blanked in f.code, so positions come from there and names from the text.
            for match in INCLUDE.finditer(f.text):
                if f.code[match.start():match.end()].strip():
                    wrong = judge(f.path, match.group(1) == '"', match.group(2), known)
                    if wrong:
                        yield f.path, line_of(f.text, match.start(2)), wrong


def judge(path, quoted, name, known):
    """Why this include is refused, or None."""
    if ".." in name.split("/"):
        return f"{name}: no .. in an include"
    for prefix, homes in HOMES.items():
        if name.startswith(prefix) and not path.startswith(homes):
            return f"{name} is only for {' '.join(homes)}"
    if not quoted:
        return judge_system(path, name, known)
    if re.fullmatch(r"kernels/\w+\.cl\.h", name):
        if path.startswith(("plugins/", "backends/opencl/")):
            return None
        return f"{name}: embedded kernels are for plugins and backends/opencl"
    target = resolve(path, name, known)
    if not target:
        return f"{name} is neither beside this file, nor in a folder that it may include"
    return judge_zones(zone(path), zone(target), name)


def judge_system(path, name, known):
    if name.startswith("weft/"):
        if "api/include/" + name not in known:
            return f"<{name}> is no header of api/include"
    elif path.startswith("api/include/") and not STANDARD.fullmatch(name):
        return f"<{name}>: installed headers include only <weft/...> and standard C"
    return None


def resolve(path, name, known):
    folder = os.path.dirname(path)
    places = [folder, "api/src", "tests", "tests/support"] if path.startswith("tests/") else [
        folder, "api/src"] if path.startswith("api/src/") else [folder]
    for place in places:
        if f"{place}/{name}" in known:
            return f"{place}/{name}"
    return None


def judge_zones(own, target, name):
    if own == target:
        return None
    if own.startswith("api/src/") and target.startswith("api/src/"):
        order = [f"api/src/{room}" for room in ROOMS]
        if own not in order or target not in order:
            return f"{name}: the rooms of api/src are {' '.join(ROOMS)}"
        if order.index(target) < order.index(own):
            return None
        return f"{own} must not include {target}: a room includes only the rooms before it"
    if target == "tests/support" and own.startswith("tests/"):
        return None
    if target.startswith("api/src/") and own == "tests/unit":
        return None
    return f"{own} must not include {target}"
