/* A plugin of another ABI, where nothing behind the version can be read. */
#include <weft/plugin.h>

WEFT_EXPORT extern const weft_plugin weft_plugin_v1;
const weft_plugin weft_plugin_v1 = {
    .magic = WEFT_MAGIC, .struct_size = 8, .abi_major = WEFT_ABI_MAJOR + 7, .abi_minor = 3
};
