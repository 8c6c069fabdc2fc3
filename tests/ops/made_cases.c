/* Case lines made by rules; see made_cases() in extra_cases.h. */
#include <stdio.h>
#include <string.h>
#include <weft/plugin.h>
#include "extra_cases.h"

typedef struct maker {
    made_fn fn;
    void *user;
} maker;
static const int sizes[WEFT_MAX_RANK] = { 0, 3, 2, 1, 3, 2, 1, 2 }; /* the first is the batch */

/* "Bx3x2" of that rank; factor multiplies axis `axis`. */
static void dims(char *text, size_t size, int rank, int axis, int extra)
{
    size_t at = 0;

    text[0] = 0;
    for (int i = 0; i < rank && at < size; i++)
        at += i ? (size_t)snprintf(text + at, size - at, "x%d", sizes[i] + (i == axis) * extra)
                : (size_t)snprintf(text + at, size - at, "B");
}

/* "(v,v,..)", of rank numbers; the first is `first`, the others others[i] times scale plus add. */
static void numbers(char *text, size_t size, int rank, int first, int scale, int add)
{
    size_t at = (size_t)snprintf(text, size, "(%d", first);

    for (int i = 1; i < rank && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, ",%d", sizes[i] * scale + add);
    if (at < size) snprintf(text + at, size - at, ")");
}

static void permutation(char *text, size_t size, int rank, int factor, int add)
{
    size_t at = 0;

    for (int i = 0; i < rank && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, "%s%d", i ? "," : "(",
                               (factor * i + add + rank) % rank);
    if (at < size) snprintf(text + at, size - at, ")");
}

static void movement_of_rank(const maker *m, int rank)
{
    char d[64], e[64], line[256], p[64], q[64];

    dims(d, sizeof d, rank, -1, 0);
    for (int turn = 0; turn < 3; turn++) {
        permutation(p, sizeof p, rank, turn == 0 ? -1 : 1, turn == 0 ? -1 : turn);
        snprintf(line, sizeof line, "perm=%s : %s %s", p, turn == 1 ? "i32" : "f32", d);
        m->fn(m->user, "transpose", line);
    }
    permutation(p, sizeof p, rank, 1, 0);
    snprintf(line, sizeof line, "axes=%s : f32 %s", p, d);
    m->fn(m->user, "reverse", line);
    snprintf(line, sizeof line, "axes=(-1) : u8 %s", d);
    m->fn(m->user, "reverse", line);
    numbers(p, sizeof p, rank, -1, 1, 0);
    snprintf(line, sizeof line, "shape=%s : f32 %s", p, rank > 1 ? "1" : "");
    m->fn(m->user, "broadcast", line);
    numbers(p, sizeof p, rank, 0, 0, 1);
    numbers(q, sizeof q, rank, 0, 1, 0);
    snprintf(line, sizeof line, "low=%s high=%s value=-1 : f32 %s", p, q, d);
    m->fn(m->user, "pad", line);
    /* the other half of the axes, in steps of two */
    numbers(p, sizeof p, rank, 0, 0, 0);
    numbers(q, sizeof q, rank, -1, 0, 1);
    snprintf(line, sizeof line, "begin=%s size=%s : f32 %s", p, q, d);
    m->fn(m->user, "slice", line);
    for (int axis = 1; axis < rank; axis++) {
        dims(e, sizeof e, rank, axis, 3);
        snprintf(line, sizeof line, "axis=%d : f32 %s, f32 %s, f32 %s", axis, d, e, d);
        m->fn(m->user, "concat", line);
    }
    snprintf(line, sizeof line, "expr=\"a*b+a\" : f32 %s, f32 %s", d, rank > 1 ? "1" : "");
    m->fn(m->user, "map", line);
}

static void reductions(const maker *m)
{
    static const char *const fns[] = { "sum", "prod", "max",    "min",    "mean",
                                       "any", "all",  "argmax", "argmin", NULL };
    static const char *const axes[] = { "(0)",   "(1)",     "(2)",     "(3)",  "(0,2)",
                                        "(1,3)", "(-1,-2)", "(0,1,2)", "none", NULL };
    static const char *const dtypes[] = { "i32", "i64", "u8", "bool", NULL };
    char line[256];

    for (int f = 0; fns[f]; f++) {
        int one = !strncmp(fns[f], "arg", 3),
            logical = !strcmp(fns[f], "any") || !strcmp(fns[f], "all");

        /* argmax over the batch has no winner in batch 0 */
        for (int a = one; axes[a] && !(one && a == 4); a++) {
            snprintf(line, sizeof line, "fn=%s axes=%s keepdims=%s : %s Bx3x4x5", fns[f], axes[a],
                     a % 2 ? "true" : "false", logical ? "bool" : "f32");
            m->fn(m->user, "reduce", line);
        }
        for (int d = 0; dtypes[d]; d++) {
            snprintf(line, sizeof line, "fn=%s axes=(1) : %s Bx6x2", fns[f], dtypes[d]);
            m->fn(m->user, "reduce", line);
        }
    }
}

/* Every function: operands of one shape, broadcast ones, integers; infix and named. */
static void functions(const maker *m)
{
    static const char *const dtypes[] = { "i32", "i64", "u8", "bool", NULL };
    static const char *const calls[] = { "", "%s(a)", "%s(a,b)", "%s(a,b,c)" };
    static const char *const shapes[] = { "", " : %s Bx33", " : %s Bx33, %s 33",
                                          " : %s Bx3x11, %s Bx1x11, %s 3x1" };
    char call[64], shape[64], line[256];

    for (const map_function *f = map_functions; f->name; f++) {
        snprintf(call, sizeof call, calls[f->arity], f->name);
        for (int d = -1; d < 0 || (f->integers && dtypes[d]); d++) {
            const char *t = d < 0 ? "f32" : dtypes[d];

            snprintf(shape, sizeof shape, shapes[f->arity], t, t, t);
            snprintf(line, sizeof line, "expr=\"%s\"%s", call, shape);
            m->fn(m->user, "map", line);
        }
        /* of a positive operand: where logarithms and roots are numbers */
        snprintf(line, sizeof line, "expr=\"%s(abs(a)+0.25%s)\" : f32 Bx9, f32 9, f32 9", f->name,
                 f->arity == 1   ? ""
                 : f->arity == 2 ? ",b"
                                 : ",b,c");
        m->fn(m->user, "map", line);
    }
}

void made_cases(made_fn fn, void *user)
{
    maker m = { fn, user };

    for (int rank = 1; rank <= WEFT_MAX_RANK; rank++)
        movement_of_rank(&m, rank);
    reductions(&m);
    functions(&m);
}
