#!/usr/bin/env python3
"""The project's own rules, checked: lint.py [--root DIR] [--lib DIR] [--fix] [RULE...]
Without a RULE all are checked; --fix lets `format` repair. Exit status: 0 clean, 1 findings, 2 wrong
usage, 77 skipped (a tool is missing)."""
import argparse
import os
import sys

sys.dont_write_bytecode = True
import rules_code
import rules_includes
import rules_text
import rules_tools
import tree

SOURCE_RULES = {
    "whitespace": rules_text.whitespace,
    "unfinished": rules_text.unfinished,
    "opening": rules_text.opening,
    "sizes": rules_text.sizes,
    "committed": rules_text.committed,
    "calls": rules_code.calls,
    "includes": rules_includes.includes,
    "format": rules_tools.format_all,
}
RULES = [*SOURCE_RULES, "exports"]


def check(rule, files, options):
    """Prints the findings of one rule; returns how many there are."""
    if rule == "exports":
        findings = rules_tools.exports(options.lib)
    elif rule == "format":
        findings = rules_tools.format_all(files, options.fix)
    else:
        findings = SOURCE_RULES[rule](files)
    count = 0
    for path, line, text in findings:
        print(f"{path}:{line}: {rule}: {text}")
        count += 1
    return count


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(here)))
    parser.add_argument("--lib", help="the built lib folder, for `exports`")
    parser.add_argument("--fix", action="store_true", help="repair what `format` finds")
    parser.add_argument("rule", nargs="*", choices=[*RULES, []], help=" ".join(RULES))
    options = parser.parse_args()
    files = tree.files(os.path.abspath(options.root))
    total, skipped = 0, 0
    for rule in options.rule or RULES:
        try:
            total += check(rule, files, options)
        except rules_tools.Skip as why:
            print(f"{rule}: skipped: {why}")
            skipped += 1
    if total:
        print(f"{total} findings")
        return 1
    return 77 if skipped and options.rule else 0


if __name__ == "__main__":
    sys.exit(main())
