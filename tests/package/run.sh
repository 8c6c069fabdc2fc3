#!/bin/sh
# run.sh CMAKE BUILD CC PLUGINDIR: installs BUILD here, moves the result, and uses it from outside.
set -eu
cmake=$1 build=$2 cc=$3 plugindir=$4
here=$(cd "$(dirname "$0")" && pwd)
rm -rf first moved by-cmake by-pkg-config
"$cmake" --install "$build" --prefix "$PWD/first" >install.log
mv first moved
root=$PWD/moved

echo "== CMake package"
"$cmake" -S "$here/consumer" -B by-cmake -DCMAKE_PREFIX_PATH="$root" -DCMAKE_C_COMPILER="$cc" \
    >configure.log
"$cmake" --build by-cmake >build.log || { cat build.log; exit 1; }
by-cmake/consumer "$PWD/by-cmake"

echo "== pkg-config"
pc=$(find "$root" -name weft.pc -printf '%h')
export PKG_CONFIG_PATH="$pc"
mkdir by-pkg-config
# shellcheck disable=SC2046
"$cc" -o by-pkg-config/consumer "$here/consumer/consumer.c" $(pkg-config --cflags --libs weft) \
    -Wl,-rpath,"$(pkg-config --variable=libdir weft)"
# shellcheck disable=SC2046
"$cc" -shared -fPIC -fvisibility=hidden -Wl,-z,defs -o by-pkg-config/outside.so \
    "$here/consumer/outside.c" $(pkg-config --cflags weft)
by-pkg-config/consumer "$PWD/by-pkg-config"
test "$(cd "$(pkg-config --variable=plugindir weft)" && pwd)" = "$root/$plugindir"

if [ -x "$root/bin/weft" ]; then
    echo "== installed program"
    "$root/bin/weft" --help >/dev/null
fi
