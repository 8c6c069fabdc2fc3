/* Typed trees -> programs: explicit casts, common subexpressions shared, registers for the
 * evaluator. */
#include "graph/map_program.h"
#include <math.h>
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "graph/map.h"

typedef struct compiler {
    const weft__map_tree *tree;
    const weft__map_compile *setup;
    const weft__map_typing *type; /* of each node of the tree */
    weft_map_ins *ins;
    uint32_t n;
    char *why;
} compiler;

typedef struct operand {
    uint32_t ins;
    weft_dtype dtype;
} operand;

static weft_status emit(compiler *c, const weft_map_ins *ins, uint32_t *number)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const weft_map_ins *o = &c->ins[i];
        if (o->kind == ins->kind && o->type == ins->type && o->dtype == ins->dtype &&
            o->fn == ins->fn && memcmp(o->arg, ins->arg, sizeof o->arg) == 0 &&
            memcmp(&o->value, &ins->value, sizeof o->value) == 0) {
            *number = i;
            return WEFT_OK;
        }
    }
    if (c->n == WEFT__MAP_INS) {
        snprintf(c->why, 256, "it has more than %d operations; split it into several maps",
                 WEFT__MAP_INS);
        return WEFT_E_UNSUPPORTED;
    }
    c->ins[c->n] = *ins;
    *number = c->n++;
    return WEFT_OK;
}

/* A literal as a value of that dtype: as a cast from f64 does it. */
static double literal_as(double value, weft_dtype t)
{
    if (t == WEFT_BOOL) return value != 0;
    if (t == WEFT_F32) return (double)(float)value;
    if (t == WEFT_F64) return value;
    if (isnan(value)) return 0;
    value = trunc(value);
    if (t == WEFT_U8) return fmin(fmax(value, 0), 255);
    if (t == WEFT_I32) return fmin(fmax(value, INT32_MIN), INT32_MAX);
    return fmin(fmax(value, -0x1p63), 0x1p63 - 1024); /* the largest double below 2^63 */
}

static weft_status cast(compiler *c, operand *o, weft_dtype to)
{
    if (!to || o->dtype == to) return WEFT_OK;
    weft_map_ins ins = { .kind = WEFT_MAP_CAST, .type = o->dtype, .dtype = to, .arg = { o->ins } };
    o->dtype = to;
    return emit(c, &ins, &o->ins);
}

static weft_status compile(compiler *c, uint32_t node, weft_dtype want, operand *o);

static weft_status compile_call(compiler *c, const weft__map_node *at, weft__map_typing own,
                                weft_dtype want, operand *o)
{
    weft_dtype t = weft__map_operands(at, c->type).dtype;
    operand arg[3] = { { 0 } };
    weft_status st = WEFT_OK;
    if (own.weak && want && weft__map_kind(want) >= weft__map_kind(own.dtype)) t = want;
    for (int32_t i = 0; !st && i < at->fn->arity; i++) {
        /* a condition is made true or false first, so that 1e-300 is not lost on the way to f32 */
        int condition = i == 0 && weft__map_conditional(at->fn);
        st = compile(c, at->arg[i], condition ? WEFT_BOOL : t, &arg[i]);
        if (!st) st = cast(c, &arg[i], t);
    }
    if (st) return st;
    o->dtype = at->fn->flags & (WEFT_MAP_COMPARE | WEFT_MAP_LOGICAL) ? WEFT_BOOL : t;
    return emit(c,
                &(weft_map_ins){ .kind = WEFT_MAP_CALL,
                                 .type = t,
                                 .dtype = o->dtype,
                                 .fn = at->fn,
                                 .arg = { arg[0].ins, arg[1].ins, arg[2].ins } },
                &o->ins);
}

/* want: the dtype that the reader needs, or 0 for the node's own. */
static weft_status compile(compiler *c, uint32_t node, weft_dtype want, operand *o)
{
    const weft__map_node *at = &c->tree->node[node];
    weft__map_typing own = c->type[node];
    weft_map_ins ins = { .kind = at->kind, .type = own.dtype, .dtype = own.dtype };
    weft_status st;
    o->dtype = own.dtype;
    switch (at->kind) {
    case WEFT_MAP_INPUT:
        ins.arg[0] = at->arg[0];
        st = emit(c, &ins, &o->ins);
        break;
    case WEFT_MAP_CONST:
        ins.type = ins.dtype = o->dtype = want ? want : own.dtype;
        ins.value = literal_as(at->value, o->dtype);
        st = emit(c, &ins, &o->ins);
        break;
    case WEFT_MAP_CAST:
        st = compile(c, at->arg[0], c->type[at->arg[0]].weak ? at->dtype : 0, o);
        if (!st) st = cast(c, o, at->dtype);
        break;
    default: st = compile_call(c, at, own, want, o); break;
    }
    return st ? st : cast(c, o, want);
}

/* Inputs of these dtypes are read where they lie. */
static int is_direct(weft_dtype t)
{
    return t == WEFT_F32 || t == WEFT_F64 || t == WEFT_I64;
}

/* Registers by the last reader of each value. A result never shares a register with its operands:
 * the evaluators' loops vectorise best when dst is not an operand. */
static int assign_registers(weft__map_program *p, uint32_t n, uint32_t result)
{
    uint32_t last[WEFT__MAP_INS] = { 0 }, busy[WEFT__MAP_REGISTERS] = { 0 }, n_pinned = 0;
    for (uint32_t i = 0; i < n; i++) {
        int32_t args =
            p->ins[i].kind == WEFT_MAP_CALL ? p->ins[i].fn->arity : p->ins[i].kind == WEFT_MAP_CAST;
        last[i] = i;
        for (int32_t k = 0; k < args; k++)
            last[p->ins[i].arg[k]] = i;
    }
    last[result] = n;
    for (uint32_t i = 0; i < n; i++) {
        weft_dtype t = p->ins[i].dtype;
        p->reg[i] = WEFT__MAP_IN_PLACE;
        if (p->ins[i].kind == WEFT_MAP_INPUT && is_direct(t)) continue;
        p->pinned[i] = p->ins[i].kind == WEFT_MAP_CONST && n_pinned < 8;
        n_pinned += p->pinned[i];
    }
    /* busy[r]: the first instruction that may write register r again */
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < n; i++) {
            weft_dtype t = p->ins[i].dtype;
            if (p->ins[i].kind == WEFT_MAP_INPUT && is_direct(t)) continue;
            if (p->pinned[i] != (pass == 0)) continue;
            uint32_t r = 0;
            while (r < WEFT__MAP_REGISTERS && busy[r] > i)
                r++;
            if (r == WEFT__MAP_REGISTERS) return 0;
            p->reg[i] = (uint8_t)r;
            busy[r] = p->pinned[i] ? UINT32_MAX : last[i] + 1;
        }
    return 1;
}

weft_status weft__map_compile_tree(const weft__map_tree *tree, const weft__map_compile *setup,
                                   weft__map_program *program, char why[256])
{
    compiler c = { .tree = tree, .setup = setup, .ins = program->ins, .why = why };
    operand o = { 0 };
    weft__map_typing *type = NULL;
    weft_status st = weft__map_type_nodes(tree, setup, &type, why);
    if (st) return st;
    c.type = type;
    weft__map_typing own = type[tree->root];
    /* a literal alone is a float, as in deep learning everywhere */
    if (own.weak && (own.dtype == WEFT_F64 || tree->node[tree->root].kind == WEFT_MAP_CONST))
        own.dtype = WEFT_F32;
    st = compile(&c, tree->root, setup->want ? setup->want : own.dtype, &o);
    weft__free(type);
    if (st) return st;
    if (!assign_registers(program, c.n, o.ins)) {
        snprintf(why, 256,
                 "more than %d of its values are needed at once; split it into several maps",
                 WEFT__MAP_REGISTERS);
        return WEFT_E_UNSUPPORTED;
    }
    program->base = (weft_map_program){ .struct_size = sizeof(weft_map_program),
                                        .n_ins = c.n,
                                        .n_inputs = setup->n_in,
                                        .result = o.ins,
                                        .ins = program->ins };
    program->dtype = o.dtype;
    return WEFT_OK;
}

/* Parses and compiles into new memory; records the error. */
static weft_status make(const char *expr, const weft__map_compile *setup,
                        weft__map_program **program)
{
    weft__map_tree tree = { 0 };
    char why[256];
    weft__map_program *p = weft__alloc(sizeof *p);
    if (!p) return WEFT_E_NOMEM;
    weft_status st = weft__map_parse(expr, &tree);
    if (!st && (st = weft__map_compile_tree(&tree, setup, p, why)) && st != WEFT_E_NOMEM)
        weft_fail(st, "expression \"%.200s%s\": %s", expr, strlen(expr) > 200 ? "..." : "", why);
    if (!st) {
        *program = p;
        p = NULL;
    }
    weft__map_tree_finish(&tree);
    weft__free(p);
    return st;
}

weft_status weft__map_type(const char *expr, const weft_dtype *in, const int *weak, uint32_t n_in,
                           weft_dtype *result)
{
    weft__map_program *p = NULL;
    weft_status st = make(expr, &(weft__map_compile){ .in = in, .weak = weak, .n_in = n_in }, &p);
    if (!st) *result = p->dtype;
    weft__free(p);
    return st;
}

int weft__map_fits(const char *expr, const weft_dtype *in, uint32_t n_in)
{
    weft__map_tree tree = { 0 };
    char why[256];
    weft__map_program *p = weft__alloc(sizeof *p);
    int fits = p && weft__map_parse(expr, &tree) == WEFT_OK &&
               weft__map_compile_tree(&tree, &(weft__map_compile){ .in = in, .n_in = n_in }, p,
                                      why) == WEFT_OK;
    weft__map_tree_finish(&tree);
    weft__free(p);
    return fits;
}

static weft_status api_parse(const weft_host *host, const char *expr, const weft_dtype *in,
                             uint32_t n_in, weft_dtype want, weft_map_program **program)
{
    (void)host;
    weft__map_program *p = NULL;
    if (want && !weft__map_rank(want))
        return weft_fail(WEFT_E_DTYPE,
                         "expression \"%.200s\": %s is for storage only; ask for float32", expr,
                         weft_dtype_name(want));
    weft_status st = make(expr, &(weft__map_compile){ .in = in, .n_in = n_in, .want = want }, &p);
    if (!st) *program = &p->base;
    return st;
}

static void api_release(weft_map_program **program)
{
    if (!program) return;
    weft__free(*program);
    *program = NULL;
}

const weft_map_api weft__map_api = { .struct_size = sizeof(weft_map_api),
                                     .parse = api_parse,
                                     .release = api_release,
                                     .eval = weft__map_eval };
