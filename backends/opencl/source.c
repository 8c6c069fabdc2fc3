/* What stands in front of a kernel's source: the shapes, types and attributes of one step as
 * macros, its arguments, and the epilogue. Backend's own sources get only the macros that they
 * mention, so that steps that differ in nothing that matters share one program. */
#include "step.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static int is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

int ocl_source_wants(const ocl_source *s, const char *name)
{
    size_t n = strlen(name);
    if (!s->body) return 1;
    for (const char *p = s->body; (p = strstr(p, name)); p += n)
        if ((p == s->body || !is_word(p[-1])) && !is_word(p[n])) return 1;
    return 0;
}

static void define_symbol(ocl_source *s, const char *name, int64_t symbol)
{
    if (!ocl_source_wants(s, name)) return;
    ocl_text_add(s->text, "#define %s ", name);
    ocl_symbol_text(s->text, symbol);
    ocl_text_add(s->text, "\n");
}

static void define_list(ocl_source *s, const char *tensor, const char *suffix, const int64_t *v,
                        int32_t n)
{
    for (int32_t k = 0; k < n; k++) {
        char name[64];
        snprintf(name, sizeof name, "%s_%s%d", tensor, suffix, k);
        define_symbol(s, name, v[k]);
    }
}

static void define_count(ocl_source *s, const char *tensor, const weft_operand *o)
{
    char name[64];
    snprintf(name, sizeof name, "%s_N", tensor);
    if (!ocl_source_wants(s, name)) return;
    ocl_text_add(s->text, "#define %s (1L", name);
    for (int32_t k = 0; k < o->rank; k++) {
        ocl_text_add(s->text, "*");
        ocl_symbol_text(s->text, o->dim[k]);
    }
    ocl_text_add(s->text, ")\n");
}

/* T_AT(i) of an operand broadcast to dims; `like` NULL: of its own shape. */
static void index_text(ocl_source *s, const weft_operand *o, const weft_operand *like,
                       const char *var)
{
    ocl_nest nest = { 0 };
    if (!like) like = o;
    nest.rank = (uint32_t)like->rank;
    memcpy(nest.dim, like->dim, (size_t)like->rank * sizeof *nest.dim);
    ocl_nest_add(&nest, o);
    ocl_nest_merge(&nest);
    ocl_nest_index(s->text, &nest, nest.rank, 0, var);
}

static void define_tensor(ocl_source *s, const char *upper, const char *lower,
                          const weft_operand *o)
{
    char name[64];
    snprintf(name, sizeof name, "%s_ABSENT", upper);
    if (o->absent) {
        ocl_text_add(s->text, "#define %s 1\n", name);
        return;
    }
    snprintf(name, sizeof name, "%s_RANK", upper);
    define_symbol(s, name, o->rank);
    define_count(s, upper, o);
    define_list(s, upper, "D", o->dim, o->rank);
    define_list(s, upper, "S", o->stride, o->rank);
    snprintf(name, sizeof name, "%s_TYPE", upper);
    if (ocl_source_wants(s, name) && ocl_type_name(o->dtype))
        ocl_text_add(s->text, "#define %s %s\n", name, ocl_type_name(o->dtype));
    snprintf(name, sizeof name, "%s_AT", upper);
    if (ocl_source_wants(s, name) || ocl_source_wants(s, upper)) {
        ocl_text_add(s->text, "#define %s(i) ", name);
        index_text(s, o, NULL, "(ulong)(i)");
        ocl_text_add(s->text, "\n");
    }
    if (ocl_source_wants(s, upper))
        ocl_text_add(s->text, "#define %s(i) %s[%s_offset + %s_AT(i)]\n", upper, lower, lower,
                     upper);
}

static void define_tensors(ocl_source *s)
{
    const weft_step *step = s->step;
    uint32_t own = step->n_in - step->n_extra;
    char upper[32], lower[32];
    for (uint32_t i = 0; i < step->n_in + step->n_out; i++) {
        int out = i >= step->n_in, extra = !out && i >= own;
        uint32_t k = out ? i - step->n_in : extra ? i - own : i;
        snprintf(upper, sizeof upper, "%s%u", out ? "OUT" : extra ? "EXTRA" : "IN", k);
        snprintf(lower, sizeof lower, "%s%u", out ? "out" : extra ? "extra" : "in", k);
        define_tensor(s, upper, lower, out ? step->out[k] : step->in[i]);
    }
}

static void argument(ocl_source *s, const char *lower, uint32_t k, const weft_operand *o)
{
    const uint32_t inplace = WEFT_KERNEL_INPLACE | WEFT_KERNEL_INPLACE_EACH;
    int out = !strcmp(lower, "out"), alias = (s->kernel->flags & inplace) != 0;
    if (o->absent) return;
    ocl_text_add(s->text, "__global %s%s *%s%s%u, ulong %s%u_offset, ", out ? "" : "const ",
                 ocl_type_name(o->dtype) ? ocl_type_name(o->dtype) : "uchar",
                 alias ? "" : "restrict ", lower, k, lower, k);
}

void ocl_source_arguments(ocl_source *s)
{
    const weft_step *step = s->step;
    uint32_t own = step->n_in - step->n_extra;
    for (uint32_t k = 0; k < own; k++)
        argument(s, "in", k, step->in[k]);
    for (uint32_t k = 0; k < step->n_out; k++)
        argument(s, "out", k, step->out[k]);
    for (uint32_t k = 0; k < step->n_extra; k++)
        argument(s, "extra", k, step->in[own + k]);
}

/* WEFT_EXTRAS: "extra0, extra0_offset .., " for the launches of kernels that record by themselves.
 */
static void define_arguments(ocl_source *s)
{
    const weft_step *step = s->step;
    uint32_t own = step->n_in - step->n_extra;
    if (ocl_source_wants(s, "WEFT_EXTRAS")) {
        ocl_text_add(s->text, "#define WEFT_EXTRAS ");
        for (uint32_t k = 0; k < step->n_extra; k++)
            argument(s, "extra", k, step->in[own + k]);
        ocl_text_add(s->text, "\n");
    }
    if (!ocl_source_wants(s, "WEFT_ARGS")) return;
    ocl_text_add(s->text, "#define WEFT_ARGS ");
    ocl_source_arguments(s);
    ocl_text_add(s->text, "long batch\n");
}

static const char *real_name(int f64)
{
    return f64 ? "double" : "float";
}

void ocl_source_units(ocl_text *text, const weft_dev *dev, int f64)
{
    if (dev->cpu)
        ocl_text_add(text, "#define WEFT_LANES %u\n#define REALV %s%u\n#define WEFT_ROWS %u\n",
                     ocl_lanes(dev, f64), real_name(f64), ocl_lanes(dev, f64), ocl_rows(dev));
    else if (ocl_has_tiles(dev))
        ocl_text_add(text, "#define WEFT_TILES %d\n", f64 ? 64 : 128);
}

static void define_device(ocl_source *s)
{
    int f64 = ocl_step_f64(s->step);
    if (ocl_step_any_f64(s->step))
        ocl_text_add(s->text,
                     "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n#define WEFT_F64 1\n");
    if (ocl_source_wants(s, "REAL_MAX"))
        ocl_text_add(s->text, "#define REAL_MAX %s\n", f64 ? "DBL_MAX" : "FLT_MAX");
    ocl_text_add(s->text, "#define REAL %s\n", real_name(f64));
    if (s->dev->cpu && ocl_source_wants(s, "WEFT_CPU"))
        ocl_text_add(s->text, "#define WEFT_CPU 1\n");
    if (ocl_source_wants(s, "WEFT_LANES")) ocl_source_units(s->text, s->dev, f64);
}

static void define_real(ocl_source *s, const char *name, double value)
{
    if (!ocl_source_wants(s, name)) return;
    ocl_text_add(s->text, "#define %s ", name);
    ocl_text_real(s->text, value, ocl_step_f64(s->step));
    ocl_text_append(s->text, "\n", 1);
}

static void define_numbers(ocl_source *s, const weft_attr *a)
{
    const weft_step *step = s->step;
    char name[128];
    int64_t whole[64];
    double real[64];
    uint32_t n = a->type == WEFT_INTS ? step->attr_v(step, a->name, whole, 64)
                                      : step->attr_fv(step, a->name, real, 64);
    for (uint32_t k = 0; k < n && k < 64; k++) {
        snprintf(name, sizeof name, "ATTR_%s_%u", a->name, k);
        if (a->type == WEFT_INTS)
            define_symbol(s, name, whole[k]);
        else
            define_real(s, name, real[k]);
    }
}

static void define_attribute(ocl_source *s, const weft_attr *a)
{
    const weft_step *step = s->step;
    char name[128];
    snprintf(name, sizeof name, "ATTR_%s", a->name);
    switch (a->type) {
    case WEFT_INT: /* a plain number: -1 is an axis here, not the batch */
    case WEFT_FLAG:
        if (ocl_source_wants(s, name))
            ocl_text_add(s->text, "#define %s (%lld)\n", name,
                         (long long)step->attr_i(step, a->name));
        break;
    case WEFT_FLOAT: define_real(s, name, step->attr_f(step, a->name)); break;
    case WEFT_INTS:
    case WEFT_FLOATS: define_numbers(s, a); break;
    default: break; /* words and texts have no use in OpenCL C */
    }
}

/* "TILE=4|8|16 VEC=1|4": the first value of each. */
static void define_params(ocl_source *s)
{
    for (const char *p = s->kernel->params; p && *p;) {
        size_t n = strcspn(p, " ");
        size_t name = strcspn(p, "=");
        if (name < n) {
            size_t value = strcspn(p + name + 1, "| ");
            ocl_text_add(s->text, "#define %.*s %.*s\n", (int)name, p, (int)value, p + name + 1);
        }
        p += n + strspn(p + n, " ");
    }
}

const char *ocl_then(const weft_step *step)
{
    const char *then = NULL;
    for (const weft_attr *a = step->op->attrs; a && a->name; a++)
        if (!strcmp(a->name, "then")) then = step->attr_s(step, "then");
    if (!then && (step->op->flags & WEFT_OP_EPILOGUE)) then = step->attr_s(step, "then");
    return then && *then && strcmp(then, "none") ? then : NULL;
}

static weft_status define_then_function(ocl_source *s, const char *then)
{
    const weft_step *step = s->step;
    weft_dtype in[WEFT_MAP_MAX_INPUTS];
    weft_map_program *program = NULL;
    weft_status st;
    in[0] = s->raw;
    for (uint32_t k = 0; k < step->n_extra; k++)
        in[k + 1] = step->in[step->n_in - step->n_extra + k]->dtype;
    if ((st = ocl_map_parse(s->dev, step->path, then, in, 1 + step->n_extra, step->out[0]->dtype,
                            &program)))
        return st;
    ocl_map_function(s->text, program, "weft_then", ocl_step_any_f64(step));
    ocl_map_release(s->dev, &program);
    return WEFT_OK;
}

static weft_status define_then(ocl_source *s)
{
    const weft_step *step = s->step;
    const char *then = ocl_then(step);
    weft_status st;
    if (!then) {
        ocl_text_add(s->text, "#define THEN(v, i) (v)\n");
        return WEFT_OK;
    }
    if (!ocl_source_wants(s, "THEN") && !ocl_source_wants(s, "THEN_AT")) return WEFT_OK;
    if ((st = define_then_function(s, then))) return st;
    if (!ocl_source_wants(s, "THEN")) return WEFT_OK;
    ocl_text_add(s->text, "#define THEN(v, i) weft_then((v)");
    for (uint32_t k = 0; k < step->n_extra; k++) {
        ocl_text_add(s->text, ", extra%u[extra%u_offset + ", k, k);
        index_text(s, step->in[step->n_in - step->n_extra + k], step->out[0], "(ulong)(i)");
        ocl_text_add(s->text, "]");
    }
    ocl_text_add(s->text, ")\n");
    return WEFT_OK;
}

weft_status ocl_source_prelude(ocl_source *s)
{
    const weft_op_class *op = s->step->op;
    define_device(s);
    define_tensors(s);
    for (const weft_attr *a = op->attrs; a && a->name; a++)
        define_attribute(s, a);
    define_params(s);
    define_arguments(s);
    return define_then(s);
}

void ocl_source_group(ocl_source *s, const char *name, const ocl_nest *group, const char *arg)
{
    if (!ocl_source_wants(s, name)) return;
    ocl_text_add(s->text, "#define %s(x) ", name);
    if (group->rank <= 1)
        ocl_text_add(s->text, "((x)*%s)", arg);
    else
        ocl_nest_index(s->text, group, group->rank, 0, "(ulong)(x)");
    ocl_text_add(s->text, "\n");
}

int64_t ocl_group_stride(const ocl_nest *group, int64_t batch)
{
    return group->rank ? ocl_at(group->stride[0][group->rank - 1], batch) : 0;
}

/* Where extra input k lies, as a sum over the groups. */
static void then_index(ocl_source *s, const weft_operand *extra, const ocl_axes *groups, uint32_t n)
{
    const weft_operand *out = s->step->out[0];
    ocl_nest all = { .rank = (uint32_t)out->rank };
    memcpy(all.dim, out->dim, all.rank * sizeof *all.dim);
    ocl_nest_add(&all, extra);
    for (uint32_t g = 0; g < n; g++) {
        ocl_nest part = { .rank = groups[g].n, .n = 1 };
        char var[32];
        for (uint32_t a = 0; a < groups[g].n; a++) {
            part.dim[a] = all.dim[groups[g].axis[a]];
            part.stride[0][a] = all.stride[0][groups[g].axis[a]];
        }
        ocl_nest_merge(&part);
        snprintf(var, sizeof var, "(ulong)(p%u)", g);
        ocl_text_add(s->text, " + ");
        ocl_nest_index(s->text, &part, part.rank, 0, var);
    }
}

void ocl_source_then_at(ocl_source *s, const ocl_axes *groups, uint32_t n)
{
    const weft_step *step = s->step;
    int then = ocl_then(step) != NULL;
    ocl_text_add(s->text, "#define THEN_AT(v");
    for (uint32_t g = 0; g < n; g++)
        ocl_text_add(s->text, ", p%u", g);
    ocl_text_add(s->text, then ? ") weft_then((v)" : ") (v)\n");
    if (!then) return;
    for (uint32_t k = 0; k < step->n_extra; k++) {
        ocl_text_add(s->text, ", extra%u[extra%u_offset", k, k);
        then_index(s, step->in[step->n_in - step->n_extra + k], groups, n);
        ocl_text_add(s->text, "]");
    }
    ocl_text_add(s->text, ")\n");
}
