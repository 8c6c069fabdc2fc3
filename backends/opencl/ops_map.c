/* map: elementwise expressions. The kernel is written for the expression, the types, and how the
 * operands' dimensions join: as one line (dense), as rows, or with an index worked out for each
 * element (flat). */
#include "step.h"
#include <stdio.h>
#include <string.h>

enum { CPU_CHUNK = 4096 }; /* elements that one work-item of a CPU does */
enum { CPU_ROW = 8 };      /* shorter rows than this are done flat */

typedef enum form { DENSE, ROWS, FLAT } form;
typedef struct plan {
    ocl_nest nest; /* tensor 0 is the result */
    form form;
} plan;

static plan plan_of(const weft_dev *dev, const weft_step *step)
{
    plan p = { .form = FLAT };
    const weft_operand *out = step->out[0];
    p.nest.rank = (uint32_t)out->rank;
    memcpy(p.nest.dim, out->dim, (size_t)out->rank * sizeof *p.nest.dim);
    ocl_nest_add(&p.nest, out);
    for (uint32_t k = 0; k < step->n_in; k++)
        ocl_nest_add(&p.nest, step->in[k]);
    ocl_nest_merge(&p.nest);
    if (p.nest.rank <= 1) {
        p.form = DENSE;
    } else if (dev->cpu) {
        int64_t inner = p.nest.dim[p.nest.rank - 1];
        if (inner < 0 || inner >= CPU_ROW) p.form = ROWS;
    }
    return p;
}

static void access_text(ocl_source *s, const plan *p, uint32_t k, const char *name)
{
    uint32_t rank = p->nest.rank;
    int64_t stride = rank ? p->nest.stride[k][rank - 1] : 0;
    if (p->form == FLAT) {
        ocl_text_add(s->text, "%s[%s_offset + ", name, name);
        ocl_nest_index(s->text, &p->nest, rank, k, "i");
    } else {
        ocl_text_add(s->text, "%s[%s_at + ", name, name);
        if (stride == 0)
            ocl_text_add(s->text, "0");
        else
            ocl_text_add(s->text, "i");
        if (stride != 0 && stride != 1) {
            ocl_text_add(s->text, "*");
            ocl_symbol_text(s->text, stride);
        }
    }
    ocl_text_add(s->text, "]");
}

/* out0[..] = weft_map(in0[..], ..); */
static void assignment(ocl_source *s, const plan *p)
{
    char name[16];
    access_text(s, p, 0, "out0");
    ocl_text_add(s->text, " = weft_map(");
    for (uint32_t k = 0; k < s->step->n_in; k++) {
        snprintf(name, sizeof name, "in%u", k);
        if (k) ocl_text_add(s->text, ", ");
        access_text(s, p, k + 1, name);
    }
    ocl_text_add(s->text, ");\n");
}

/* Where the row of every tensor starts. */
static void starts(ocl_source *s, const plan *p, const char *row)
{
    uint32_t rank = p->nest.rank ? p->nest.rank - 1 : 0;
    for (uint32_t k = 0; k <= s->step->n_in; k++) {
        char name[16];
        if (k == 0)
            strcpy(name, "out0");
        else
            snprintf(name, sizeof name, "in%u", k - 1);
        ocl_text_add(s->text, "        const ulong %s_at = %s_offset + ", name, name);
        ocl_nest_index(s->text, &p->nest, rank, k, row);
        ocl_text_add(s->text, ";\n");
    }
}

/* CPUs, NDRange (chunks of a row, blocks of rows), groups of one: a loop that the compiler
 * vectorises. */
static void cpu_kernel(ocl_source *s, const plan *p)
{
    ocl_text_add(s->text, "__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void map(");
    ocl_source_arguments(s);
    ocl_text_add(s->text,
                 "long n, long rows, long chunk, long block, long batch)\n{\n"
                 "    const long i0 = get_global_id(0) * chunk, i1 = min(i0 + chunk, n);\n"
                 "    const long r0 = get_global_id(1) * block, r1 = min(r0 + block, rows);\n"
                 "    for (long r = r0; r < r1; r++) {\n");
    if (p->form != FLAT) starts(s, p, "(ulong)r");
    ocl_text_add(s->text, "#ifdef __clang__\n"
                          "#pragma clang loop vectorize(assume_safety)\n"
                          "#endif\n"
                          "        for (ulong i = i0; i < (ulong)i1; i++)\n            ");
    assignment(s, p);
    ocl_text_add(s->text, "    }\n}\n");
}

/* Others, NDRange (elements / 4), any groups. With 32 bits of index where they do: division is
 * slow. */
static void gpu_kernel(ocl_source *s, const plan *p, const char *name, const char *index)
{
    ocl_text_add(s->text, "__kernel void %s(", name);
    ocl_source_arguments(s);
    ocl_text_add(s->text, "long n, long rows, long chunk, long block, long batch)\n{\n");
    if (p->form != FLAT) starts(s, p, "(ulong)0");
    ocl_text_add(
        s->text,
        "    for (%s i = get_global_id(0), e = 0; e < 4 && i < n; e++, i += get_global_size(0))\n"
        "        ",
        index);
    assignment(s, p);
    ocl_text_add(s->text, "}\n");
}

static weft_status parse(weft_dev *dev, const weft_step *step, weft_map_program **program)
{
    weft_dtype in[WEFT_MAP_MAX_INPUTS];
    for (uint32_t k = 0; k < step->n_in; k++)
        in[k] = step->in[k]->dtype;
    return ocl_map_parse(dev, step->path, step->attr_s(step, "expr"), in, step->n_in,
                         step->out[0]->dtype, program);
}

static weft_status write(ocl_source *s)
{
    plan p = plan_of(s->dev, s->step);
    weft_map_program *program = NULL;
    weft_status st = parse(s->dev, s->step, &program);
    if (st) return st;
    ocl_map_function(s->text, program, "weft_map", ocl_step_any_f64(s->step));
    ocl_map_release(s->dev, &program);
    ocl_text_add(s->text, "#line 1 \"map\"\n");
    if (s->dev->cpu) {
        cpu_kernel(s, &p);
    } else {
        gpu_kernel(s, &p, "map", "ulong");
        if (p.form == FLAT) gpu_kernel(s, &p, "map_short", "uint");
    }
    return WEFT_OK;
}

static int supports(const weft_kernel_call *base, char *why, size_t why_size)
{
    const ocl_call *call = (const ocl_call *)base;
    weft_map_program *program = NULL;
    int yes = 1;
    if (base->n_in > WEFT_MAP_MAX_INPUTS) {
        snprintf(why, why_size, "%u inputs, the limit is %d", base->n_in, WEFT_MAP_MAX_INPUTS);
        return 0;
    }
    if (parse(call->dev, call->step, &program)) {
        snprintf(why, why_size, "the expression cannot be compiled");
        return 0;
    }
    if (ocl_map_f64(program) && !call->dev->device->info.has_f64) {
        snprintf(why, why_size, "the expression computes in float64, which the device has not");
        yes = 0;
    }
    ocl_map_release(call->dev, &program);
    return yes;
}

static void cpu_range(const plan *p, int64_t n, int64_t rows, int64_t *ints, size_t *global)
{
    int64_t chunk = n < CPU_CHUNK ? n : CPU_CHUNK;
    int64_t block = p->form == ROWS && n < CPU_CHUNK ? CPU_CHUNK / (n ? n : 1) : 1;
    ints[2] = chunk;
    ints[3] = block;
    global[0] = chunk ? (size_t)((n + chunk - 1) / chunk) : 0;
    global[1] = (size_t)((rows + block - 1) / block);
    global[2] = 1;
}

static weft_status enqueue(const weft_kernel_call *base, const weft_cl *cl)
{
    const ocl_call *call = (const ocl_call *)base;
    const weft_view *views[OCL_NEST_MAX];
    plan p = plan_of(call->dev, call->step);
    int64_t n = (int64_t)base->out[0]->count, rows = 1, ints[4] = { 0 };
    weft_cl_launch l = { .struct_size = sizeof l,
                         .n_views = base->n_in + 1,
                         .n_ints = 4,
                         .kernel = "map",
                         .views = views,
                         .ints = ints };
    if (n == 0) return WEFT_OK;
    for (uint32_t k = 0; k < base->n_in; k++)
        views[k] = base->in[k];
    views[base->n_in] = base->out[0];
    if (p.form == ROWS) {
        int64_t inner = ocl_at(p.nest.dim[p.nest.rank - 1], base->batch);
        rows = n / inner;
        n = inner;
    }
    ints[0] = n;
    ints[1] = rows;
    if (call->dev->cpu) {
        l.local[0] = l.local[1] = l.local[2] = 1;
        cpu_range(&p, n, rows, ints, l.global);
    } else {
        l.global[0] = (size_t)((n + 3) / 4);
        /* i passes n by less than the number of items */
        if (p.form == FLAT && n < INT32_MAX) l.kernel = "map_short";
    }
    return cl->launch(base, &l);
}

const ocl_op ocl_op_map = {
    .name = "map",
    .file = "map",
    .kernel = { .struct_size = sizeof(weft_cl_kernel),
                .flags = OCL_ANY_LAYOUT | WEFT_KERNEL_INPLACE | WEFT_KERNEL_ANY_DTYPE,
                .supports = supports,
                .enqueue = enqueue },
    .write = write,
};
