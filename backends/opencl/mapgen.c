/* Elementwise expressions as OpenCL C: a typed program of weft/map.h becomes one static function,
 * which `map` kernels and the epilogue THEN call. */
#include "step.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "kernels/map.cl.h"

static const struct {
    weft_dtype dtype;
    const char *name;
    size_t size;
} types[] = {
    { WEFT_F32, "float", 4 }, { WEFT_F64, "double", 8 }, { WEFT_I32, "int", 4 },
    { WEFT_I64, "long", 8 },  { WEFT_U8, "uchar", 1 },   { WEFT_BOOL, "uchar", 1 },
};

const char *ocl_type_name(weft_dtype dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == dtype) return types[i].name;
    return NULL;
}

size_t ocl_type_size(weft_dtype dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == dtype) return types[i].size;
    return dtype == WEFT_F16 || dtype == WEFT_BF16 ? 2 : 0;
}

static const weft_map_api *get_api(const weft_host *host)
{
    return host->extension ? host->extension(host, WEFT_MAP_ID) : NULL;
}

weft_status ocl_map_parse(weft_dev *dev, const char *path, const char *expr, const weft_dtype *in,
                          uint32_t n, weft_dtype want, weft_map_program **program)
{
    const weft_map_api *api = get_api(dev->host);
    if (!api)
        return ocl_fail(dev->host, WEFT_E_UNSUPPORTED, "%s: the host has no extension %s", path,
                        WEFT_MAP_ID);
    return api->parse(dev->host, expr, in, n, want, program);
}

void ocl_map_release(weft_dev *dev, weft_map_program **program)
{
    const weft_map_api *api = get_api(dev->host);
    if (api && *program) api->release(program);
}

static void constant_text(ocl_text *text, weft_dtype dtype, double v)
{
    int f32 = dtype == WEFT_F32;
    if (!f32 && dtype != WEFT_F64) {
        if (v == -9223372036854775808.0)
            ocl_text_add(text, "LONG_MIN");
        else
            ocl_text_add(text, dtype == WEFT_I64 ? "%" PRId64 "L" : "%" PRId64, (int64_t)v);
    } else {
        ocl_text_real(text, v, !f32);
    }
}

/* "weft_max_$T($0, $1)" with the operands put in. */
static void call_text(ocl_text *text, const weft_map_ins *ins)
{
    for (const char *p = ins->fn->opencl; *p; p++) {
        if (*p != '$')
            ocl_text_append(text, p, 1);
        else if (*++p == 'T')
            ocl_text_add(text, "%s", ocl_type_name(ins->type));
        else if (*p >= '0' && *p <= '2')
            ocl_text_add(text, "v%u", ins->arg[*p - '0']);
        else
            break;
    }
}

static void cast_text(ocl_text *text, const weft_map_ins *ins)
{
    const char *to = ins->dtype == WEFT_BOOL ? "bool" : ocl_type_name(ins->dtype);
    ocl_text_add(text, "weft_cast_%s_%s(v%u)", to, ocl_type_name(ins->type), ins->arg[0]);
}

static void instruction_text(ocl_text *text, const weft_map_ins *ins, uint32_t number)
{
    ocl_text_add(text, "    const %s v%u = ", ocl_type_name(ins->dtype), number);
    switch (ins->kind) {
    case WEFT_MAP_INPUT: ocl_text_add(text, "x%u", ins->arg[0]); break;
    case WEFT_MAP_CONST: constant_text(text, ins->dtype, ins->value); break;
    case WEFT_MAP_CAST: cast_text(text, ins); break;
    default:
        ocl_text_add(text, "(%s)((", ocl_type_name(ins->dtype));
        call_text(text, ins);
        ocl_text_add(text, ins->dtype == WEFT_BOOL ? ") != 0)" : "))");
    }
    ocl_text_add(text, ";\n");
}

static weft_dtype input_type(const weft_map_program *program, uint32_t k)
{
    for (uint32_t i = 0; i < program->n_ins; i++)
        if (program->ins[i].kind == WEFT_MAP_INPUT && program->ins[i].arg[0] == k)
            return program->ins[i].dtype;
    return WEFT_F32; /* never read */
}

int ocl_map_f64(const weft_map_program *program)
{
    for (uint32_t i = 0; i < program->n_ins; i++)
        if (program->ins[i].dtype == WEFT_F64) return 1;
    return 0;
}

void ocl_map_function(ocl_text *text, const weft_map_program *program, const char *name, int f64)
{
    if (!f64 && ocl_map_f64(program))
        ocl_text_add(text, "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n#define WEFT_F64 1\n");
    ocl_text_add(text, "%s\n#line 1 \"%s\"\n", (const char *)weft_cl_map, name);
    ocl_text_add(text, "static inline %s %s(", ocl_type_name(program->ins[program->result].dtype),
                 name);
    for (uint32_t k = 0; k < program->n_inputs; k++)
        ocl_text_add(text, "%sconst %s x%u", k ? ", " : "", ocl_type_name(input_type(program, k)),
                     k);
    ocl_text_add(text, ")\n{\n");
    for (uint32_t i = 0; i < program->n_ins; i++)
        instruction_text(text, &program->ins[i], i);
    ocl_text_add(text, "    return v%u;\n}\n", program->result);
}
