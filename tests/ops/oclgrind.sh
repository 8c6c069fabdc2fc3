#!/bin/sh
# oclgrind.sh MODULES CASES PROGRAM ARGUMENT..: runs the program under oclgrind and fails if it finds anything. First it
# has to find a kernel that is wrong on purpose (tests/plugins/modules/wild_kernel.c): otherwise silence means nothing.
set -eu
modules=$1 cases=$2
shift 2
rm -f wild.log found.log
WEFT_PLUGIN_PATH=$modules oclgrind --log wild.log "$cases" one opencl:0 2 org.test.wild_kernel ': f32 Bx7' \
    >wild.txt || true
if ! grep -q 'Invalid read' wild.log; then
    cat wild.txt wild.log
    echo "oclgrind found nothing in a kernel that reads out of bounds"
    exit 1
fi
# Not optimised: oclgrind 21.10 takes the truths of vectorised loops for -1. Of four units: with one, every small
# product would take the kernel for large ones, which takes seconds here.
oclgrind --compute-units 4 --data-races --check-api --build-options -cl-opt-disable --log found.log "$@"
if [ -s found.log ]; then
    cat found.log
    echo "oclgrind found something"
    exit 1
fi
