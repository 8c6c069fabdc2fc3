/* A function that nobody has: lazy binding would end the program at its first call. */
#include <weft/plugin.h>

extern weft_status test_function_that_nobody_has(weft_build *);

static weft_status build(weft_build *b)
{
    return test_function_that_nobody_has(b);
}

WEFT_LAYER(test_undefined, .name = "org.example.Undefined", .version = 1, .min_version = 1,
           .inputs = "x", .outputs = "y", .build = build);
