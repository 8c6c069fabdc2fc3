"""compile.py CLANG CAPTURE CASES: the OpenCL programs of the ops' case lines, as GPUs get them, through clang with its
warnings on, which drivers keep to themselves. No kernel may have more local memory than OpenCL 1.2 promises, 32 KB:
a driver refuses the program for it, launched or not. And a kernel with barriers must say which groups it is for:
else a compiler may use registers for which only smaller groups have room."""
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LOCAL_MEMORY = 32768
# Shapes that are too slow for the other tests, and products in the middle of an op.
LINES = [("lstm", ": f32 Bx1x8196, f32 2049x8196"),
         ("lstm_grad", ": f32 2049x8196, f32 Bx1x8196, f32 Bx1x2049"),
         ("lstm", ": f32 Bx1x260, f32 65x260"),
         ("lstm", ": f64 Bx1x260, f64 65x260"),
         ("matmul", ": f64 Bx3, f64 3x5"),
         ("conv", ": f64 Bx4x4x3, f64 3x3x3x17"),
         ("conv_filter_grad", "size=(3,3) : f64 Bx4x4x3, f64 Bx2x2x17")]
# Inline functions are a library, of which a program takes what it needs; sizes of 0 are written into divisions that
# are never reached; -O1 warns of loops that cannot be done as asked.
OPTIONS = ["-x", "cl", "-cl-std=CL1.2", "-target", "spir64", "-Xclang", "-fdeclare-opencl-builtins", "-Xclang",
           "-finclude-default-header", "-Wall", "-Werror", "-Wno-unused-function", "-Wno-division-by-zero", "-O1",
           "-S", "-emit-llvm", "-o", "-"]
# "@gemm_64.sa = internal addrspace(3) global [272 x <4 x float>] undef, align 16": the kernel, and a type
LOCAL = re.compile(r"^@(\w+)\.\S+ = .*\baddrspace\(3\) global (.*?) undef,", re.M)
KERNEL = re.compile(r"^define .*\bspir_kernel void @(\w+)\((.*)\{\n((?:.*\n)*?)\}", re.M)
BYTES = {"i8": 1, "i16": 2, "i32": 4, "i64": 8, "float": 4, "double": 8}


def local_memory(ir):
    """Bytes of each kernel that has some."""
    bytes_of = {}
    for kernel, kind in LOCAL.findall(ir):
        size = BYTES[re.search(r"\w+(?=[\]>]*$)", kind).group()]
        for count in re.findall(r"(\d+) x ", kind):
            size *= int(count)
        bytes_of[kernel] = bytes_of.get(kernel, 0) + size
    return bytes_of


def compile_one(clang, source):
    """(what is wrong, or "", bytes of local memory)"""
    run = subprocess.run([clang] + OPTIONS + [str(source)], capture_output=True, text=True, check=False)
    if run.returncode:
        return f"{source.name}:\n{run.stderr[:3000]}", 0
    sizes = local_memory(run.stdout)
    wrong = [f"{source.name}: {kernel} has {size} bytes of local memory"
             for kernel, size in sizes.items() if size > LOCAL_MEMORY]
    wrong += [f"{source.name}: {kernel} has barriers and no reqd_work_group_size"
              for kernel, rest, body in KERNEL.findall(run.stdout)
              if "barrier" in body and "!reqd_work_group_size" not in rest]
    return "\n".join(wrong), max(sizes.values(), default=0)


def capture(folder, library, cases):
    env = dict(os.environ, LD_PRELOAD=library)
    for arguments in [["one", "opencl:0", "1", op, line] for op, line in LINES] + [["own"], ["extra"]]:
        run = subprocess.run([cases] + arguments, cwd=folder, env=env, capture_output=True, text=True, check=False)
        if run.returncode < 0:
            sys.exit(f"{' '.join(arguments)} ended by signal {-run.returncode}:\n{run.stdout[-3000:]}")
        if run.returncode == 0:
            sys.exit(f"{' '.join(arguments)} ran: {library} does not stand in front of OpenCL")
        if not list(Path(folder).glob("*.cl")):
            print(f"skipped: there is no OpenCL device\n{run.stdout[-3000:]}")
            sys.exit(77)
    return sorted(Path(folder).glob("*.cl"))


def main():
    clang, library, cases = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        sources = capture(folder, library, cases)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(lambda source: compile_one(clang, source), sources))
    wrong = [text for text, _ in results if text]
    print("\n".join(wrong))
    print(f"{len(sources)} programs, {len(wrong)} wrong, most local memory {max(size for _, size in results)} bytes")
    sys.exit(bool(wrong))


main()
