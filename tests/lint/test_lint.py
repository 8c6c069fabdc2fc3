#!/usr/bin/env python3
"""The rules themselves: each is shown text that breaks it and text that does not."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules_code
import rules_includes
import rules_text
import tree


def found(rule, contents):
    """How many findings RULE has in files given as {path: text}."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in contents.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full) or root, exist_ok=True)
            with open(full, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
        return len(list(rule(tree.files(root))))


def function(lines):
    return "static int f(int a,\n             int b)\n{\n" + "    a += b;\n" * (lines - 4) + "}\n"


class Text(unittest.TestCase):
    def test_whitespace(self):
        self.assertEqual(found(rules_text.whitespace, {"a.c": "int a;\n"}), 0)
        self.assertEqual(found(rules_text.whitespace, {"a.c": "\tint a; \nint b;"}), 3)
        self.assertEqual(found(rules_text.whitespace, {"a.npy": "\t"}), 0)

    def test_unfinished(self):
        self.assertEqual(found(rules_text.unfinished, {"a.c": "/* TO" + "DO: x */\n"}), 1)
        self.assertEqual(found(rules_text.unfinished, {"a.c": "/* to do */\n"}), 0)

    def test_opening(self):
        self.assertEqual(found(rules_text.opening, {"a.c": "int a;\n", "b.c": "/* b */\n"}), 1)

    def test_function_size(self):
        self.assertEqual(found(rules_text.sizes, {"a.c": function(80)}), 0)
        self.assertEqual(found(rules_text.sizes, {"a.c": function(81)}), 1)
        wrapped = 'extern "C" {\n' + function(81) + "}\n" + function(81)
        self.assertEqual(found(rules_text.sizes, {"a.h": wrapped}), 2)

    def test_braces_that_open_no_function(self):
        table = "static const int t[] = {\n" + "    1,\n" * 90 + "};\n"
        tricks = "/* { */\n#define F(x) \\\n    {\nint c = '{';\nconst char *s = \"{\";\n"
        self.assertEqual(found(rules_text.sizes, {"a.c": tricks + table + function(80)}), 0)
        kernel = "__kernel void k(__global float *a)\n{\n" + "    a[0]++;\n" * 80 + "}\n"
        self.assertEqual(found(rules_text.sizes, {"a.cl": tricks + kernel}), 1)

    def test_file_and_line_size(self):
        self.assertEqual(found(rules_text.sizes, {"a.c": "int a;\n" * 801}), 1)
        self.assertEqual(found(rules_text.sizes, {"a.c": "/*" + "a" * 99 + "*/\n"}), 1)

    def test_committed(self):
        self.assertEqual(found(rules_text.committed, {"a.bin": "x" * ((1 << 20) + 1)}), 1)


class Calls(unittest.TestCase):
    def test_getenv(self):
        call = "const char *f(void)\n{\n    return getenv(\"A\");\n}\n"
        self.assertEqual(found(rules_code.calls, {"tools/weft/a.c": call}), 1)
        self.assertEqual(found(rules_code.calls, {"api/src/base/settings.c": call}), 0)

    def test_process_and_streams(self):
        bad = "abort(); exit (1); printf(\"x\"); fprintf(stderr, \"x\");\n"
        self.assertEqual(found(rules_code.calls, {"plugins/core/a.c": bad}), 4)
        self.assertEqual(found(rules_code.calls, {"tools/weft/a.c": bad}), 0)
        good = "/* abort() */ snprintf(a, n, \"exit()\"); weft_rewrite_abort(r); x->exit();\n"
        self.assertEqual(found(rules_code.calls, {"api/src/base/a.c": good}), 0)


class Includes(unittest.TestCase):
    tree = {
        "api/include/weft/plugin.h": "", "api/src/base/log.h": "", "api/src/graph/graph.h": "",
        "plugins/core/core.h": "", "plugins/merge/merge.h": "", "backends/cpu/cpu.h": "",
        "tests/support/check.h": "",
    }

    def count(self, path, line):
        return found(rules_includes.includes, {**self.tree, path: line + "\n"})

    def test_allowed(self):
        for path, line in [
                ("api/src/graph/a.c", '#include "base/log.h"'),
                ("api/src/graph/ops/a.c", '#include "graph/graph.h"'),
                ("plugins/core/a.c", '#include "core.h"'),
                ("plugins/core/a.c", '#include "kernels/pool.cl.h"'),
                ("plugins/core/a.c", "#include <weft/plugin.h>"),
                ("backends/opencl/a.c", "#include <CL/cl.h>"),
                ("tests/unit/a.c", '#include "graph/graph.h"'),
                ("tests/ops/a.c", '#include "support/check.h"'),
                ("tests/ops/a.c", '/* #include "base/log.h" */')]:
            self.assertEqual(self.count(path, line), 0, (path, line))

    def test_refused(self):
        for path, line in [
                ("api/src/base/a.c", '#include "graph/graph.h"'),
                ("tests/support/a.c", '#include "graph/graph.h"'),
                ("api/src/graph/a.c", '#include "../base/log.h"'),
                ("api/include/weft/a.h", "#include <unistd.h>"),
                ("api/src/graph/a.c", "#include <CL/cl.h>"),
                ("plugins/keras/a.c", "#include <clblast_c.h>"),
                ("plugins/core/a.c", '#include "merge.h"'),
                ("plugins/core/a.c", '#include "plugins/merge/merge.h"'),
                ("plugins/core/a.c", '#include "base/log.h"'),
                ("plugins/core/a.c", "#include <weft/absent.h>"),
                ("backends/opencl/a.c", '#include "cpu.h"'),
                ("tools/weft/a.c", '#include "base/log.h"'),
                ("tests/ops/a.c", '#include "graph/graph.h"')]:
            self.assertEqual(self.count(path, line), 1, (path, line))


if __name__ == "__main__":
    unittest.main()
