#!/bin/sh
# run.sh CMAKE BUILD CC PLUGINDIR EXAMPLES: installs BUILD here, moves the result, and uses it from outside, with the
# plugins in EXAMPLES built out of tree.
set -eu
cmake=$1 build=$2 cc=$3 examples=$5
here=$(cd "$(dirname "$0")" && pwd)
rm -rf first moved examples by-cmake by-pkg-config
"$cmake" --install "$build" --prefix "$PWD/first" >install.log
mv first moved
root=$PWD/moved
plugindir=$root/$4
test -d "$plugindir"
cp -r "$examples" examples
for example in examples/*.c; do
    if test -e "$plugindir/$(basename "$example" .c).so"; then
        echo "$example is an example, but was installed"
        exit 1
    fi
done

echo "== CMake package"
"$cmake" -S "$here/consumer" -B by-cmake -DCMAKE_PREFIX_PATH="$root" -DCMAKE_C_COMPILER="$cc" \
    -DEXAMPLES="$PWD/examples" >configure.log
"$cmake" --build by-cmake >build.log || { cat build.log; exit 1; }
by-cmake/consumer "$PWD/by-cmake"
WEFT_PLUGIN_PATH=$PWD/by-cmake by-cmake/apply
WEFT_PLUGIN_PATH=$PWD/by-cmake by-cmake/train

echo "== pkg-config"
pc=$(find "$root" -name weft.pc -printf '%h')
export PKG_CONFIG_PATH="$pc"
mkdir by-pkg-config
for program in consumer apply train; do
    # shellcheck disable=SC2046
    "$cc" -o by-pkg-config/$program "$here/consumer/$program.c" $(pkg-config --cflags --libs weft) -lm \
        -Wl,-rpath,"$(pkg-config --variable=libdir weft)"
done
for plugin in "$here/consumer/outside.c" examples/*.c; do
    # shellcheck disable=SC2046
    "$cc" -shared -fPIC -fvisibility=hidden -Wl,-z,defs -o "by-pkg-config/$(basename "$plugin" .c).so" \
        "$plugin" $(pkg-config --cflags weft) -lm
done
by-pkg-config/consumer "$PWD/by-pkg-config"
WEFT_PLUGIN_PATH=$PWD/by-pkg-config by-pkg-config/apply
WEFT_PLUGIN_PATH=$PWD/by-pkg-config by-pkg-config/train
