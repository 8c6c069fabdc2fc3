#!/bin/sh
# valgrind.sh SUPPRESSIONS CMAKE WEFT MODEL.keras DEVICE: `weft predict` of a fixture under valgrind; memory that is lost,
# and reads of what was never written, fail. The arrays come out of the fixture's MODEL.npz, which is a zip.
set -eu
suppressions=$1 cmake=$2 weft=$3 model=$4 device=$5
rm -rf arrays
mkdir arrays
(cd arrays && "$cmake" -E tar xf "${model%.keras}.npz")
set --
for file in arrays/in.*.npy; do
    name=${file#arrays/in.}
    set -- "$@" -i "${name%.npy}=$file"
done
valgrind -q --leak-check=full --errors-for-leak-kinds=definite --error-exitcode=9 \
    --suppressions="$suppressions" "$weft" predict "$model" "$@" -o y.npz -d "$device"
