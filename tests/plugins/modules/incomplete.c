/* A layer class without build(): the reason names it. */
#include <weft/plugin.h>

WEFT_LAYER(test_incomplete, .name = "org.example.Incomplete", .version = 1, .min_version = 1,
           .inputs = "x", .outputs = "y");
