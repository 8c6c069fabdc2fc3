/* A plugin that needs a feature of some other libweft. */
#include <weft/plugin.h>

WEFT_PLUGIN(test_needs, .needs = "op/1.0 time_travel/2.0");
