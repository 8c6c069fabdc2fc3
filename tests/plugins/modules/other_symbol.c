/* A plugin for an interface that has another symbol. */
#include <weft/plugin.h>

WEFT_EXPORT extern const int weft_plugin_v2;
const int weft_plugin_v2 = 2;
