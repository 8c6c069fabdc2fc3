/* A model of raw ops (tests/plugins/modules/raw_op.c), written in a few lines: for tests of ops
 * inside a plan. */
#ifndef WEFT_TESTS_CHAIN_H
#define WEFT_TESTS_CHAIN_H
#include <weft/weft.h>

enum { CHAIN_STEPS = 12 };
typedef struct chain {
    const char *inputs;             /* as in a case line: "f32 Bx3, i32 B<5" */
    const char *steps[CHAIN_STEPS]; /* "op;attributes;arguments": numbers of inputs, then of earlier
                                       steps' results */
    double tolerance;               /* of the largest result; 0: exact */
} chain;

/* A context that knows the layer; NULL after printing why not. */
weft_context *chain_context(void);
/* The finished model, layers named step0, step1 ..; its output is the last step's result. NULL
 * after printing. */
weft_model *chain_model(weft_context *ctx, const chain *c);
#endif
