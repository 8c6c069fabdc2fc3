/* The right symbol with something else in it. */
#include <weft/plugin.h>

WEFT_EXPORT extern const weft_plugin weft_plugin_v1;
const weft_plugin weft_plugin_v1 = { .magic = 0x12345678u,
                                     .struct_size = sizeof(weft_plugin),
                                     .abi_tag = WEFT_ABI_TAG,
                                     .name = "bad_magic" };
