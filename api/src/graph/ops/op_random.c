/* random: numbers from a counter, without a state: Philox4x32-10 (Salmon, Moraes, Dror, Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Element i, in row-major order, takes
 * word i % 4 of
 *   philox(counter = (lo(i / 4), hi(i / 4), lo(step), lo(key[1]) ^ hi(step)),
 *          key = (lo(key[0]), hi(key[0])))            lo, hi: 32 bits each
 *   bits     the word
 *   uniform  (word >> 8) 2^-24: 0 <= y < 1
 *   normal   Box-Muller on words (0, 1) and (2, 3): r = sqrt(-2 ln u), u = ((word >> 8) + 0.5)
 *            2^-24 of the first; r cos(2 pi v), then r sin(2 pi v), v the uniform of the second
 * Bits and uniforms are the same on every device. */
#include <string.h>
#include "base/fail.h"
#include "graph/dim.h"
#include "graph/ops/ops.h"

static weft_status check_integers(weft_build *b, uint32_t i, const char *what, int32_t rank)
{
    weft_spec spec;
    weft__spec_text text;
    weft_status st = weft__op_in(b, i, &spec);
    if (st) return st;
    if (spec.dtype == WEFT_I64 && spec.rank == rank && (!rank || spec.dim[0] == 2)) return WEFT_OK;
    return weft_fail(WEFT_E_SHAPE, "%s is %s; it must be int64 %s", what,
                     weft__spec_show(&spec, &text), rank ? "(2)" : "()");
}

static weft_status infer(weft_build *b, weft_spec *outs)
{
    weft_status st;
    if ((st = check_integers(b, 0, "key", 1)) || (st = check_integers(b, 1, "step", 0)) ||
        (st = weft__op_dims(b, "shape", &outs[0])))
        return st;
    outs[0].dtype = WEFT_F32;
    if (!strcmp(b->api->attr_s(b, "dtype"), "float64")) outs[0].dtype = WEFT_F64;
    if (!strcmp(b->api->attr_s(b, "dist"), "bits")) outs[0].dtype = WEFT_I32;
    return WEFT_OK;
}

static const weft_attr attrs[] = {
    { "dist", WEFT_STRING, 0, "uniform", "bits|uniform|normal",
      "int32 bits, floats from 0 below 1, or of mean 0 and variance 1" },
    { "shape", WEFT_INTS, 0, NULL, NULL, "the dimensions; -c is c times the batch" },
    { "dtype", WEFT_STRING, 0, "float32", "float32|float64", "of uniform and normal" },
    { 0 },
};
static const char *const cases[] = {
    "dist=bits shape=(-1,7) : i64 2, i64",
    "shape=(-3,5,2) : i64 2, i64",
    "dist=normal shape=(-1,1031) : i64 2, i64",
    "dist=normal shape=() : i64 2, i64",
    "shape=(-1,0,3) : i64 2, i64",
    NULL,
};

const weft_op_class weft__op_random = {
    .struct_size = sizeof(weft_op_class),
    .name = "random",
    .inputs = "key, step",
    .outputs = "y",
    .attrs = attrs,
    .infer = infer,
    .cases = cases,
    .doc = "Random numbers of a key (int64 [2]) at a step (int64): the same on every device.",
};
