/* A layer that is any one op: for tests of ops inside a plan. */
#include <weft/plugin.h>

static weft_status build(weft_build *b)
{
    weft_val in[WEFT_MAX_RANK * 4];
    uint32_t n = b->api->n_in(b);

    if (n > sizeof in / sizeof *in) return weft_failf(b, WEFT_E_ARG, "%u inputs", (unsigned)n);
    for (uint32_t i = 0; i < n; i++)
        in[i] = weft_in(b, i);
    return weft_out(
        b, 0, b->api->op(b, b->api->attr_s(b, "op"), b->api->attr_s(b, "attrs"), in, n, NULL, 0));
}

static const weft_attr attrs[] = { { "op", WEFT_STRING, 0, NULL, NULL, "its name" },
                                   { "attrs", WEFT_STRING, 0, "\"\"", NULL, "its attributes" },
                                   { 0 } };
WEFT_LAYER(raw_op, .name = "org.test.Op", .version = 1, .min_version = 1, .inputs = "x...",
           .outputs = "y", .attrs = attrs, .build = build, .doc = "any op");
