/* Index arithmetic over sizes that may depend on the batch: what lets one compiled kernel serve
 * every batch, and neighbouring dimensions be walked as one. */
#include "step.h"
#include <string.h>

int64_t ocl_at(int64_t symbol, int64_t batch)
{
    return symbol < 0 ? -symbol * batch : symbol;
}

int ocl_symbol_mul(int64_t a, int64_t b, int64_t *product)
{
    if (a == WEFT_ANY || b == WEFT_ANY || (a < 0 && b < 0)) return 0;
    int64_t x = a < 0 ? -a : a, y = b < 0 ? -b : b;
    if (x && y > INT64_MAX / x) return 0;
    *product = a < 0 || b < 0 ? -(x * y) : x * y;
    return 1;
}

void ocl_symbol_text(ocl_text *text, int64_t symbol)
{
    if (symbol >= 0)
        ocl_text_add(text, "(%lld)", (long long)symbol);
    else if (symbol == -1)
        ocl_text_add(text, "(batch)");
    else
        ocl_text_add(text, "(%lld*batch)", -(long long)symbol);
}

void ocl_nest_axes(ocl_nest *nest, const weft_operand *operand, const int32_t *axes, uint32_t n)
{
    nest->rank = n;
    nest->n = 1;
    for (uint32_t k = 0; k < n; k++) {
        nest->dim[k] = operand->dim[axes[k]];
        nest->stride[0][k] = operand->stride[axes[k]];
    }
    ocl_nest_merge(nest);
}

void ocl_nest_range(ocl_nest *nest, const weft_operand *operand, int32_t from, int32_t to)
{
    int32_t axes[WEFT_MAX_RANK];
    for (int32_t k = from; k < to; k++)
        axes[k - from] = k;
    ocl_nest_axes(nest, operand, axes, (uint32_t)(to - from));
}

void ocl_nest_add(ocl_nest *nest, const weft_operand *operand)
{
    uint32_t skip = nest->rank - (uint32_t)operand->rank;
    int64_t *stride = nest->stride[nest->n++];
    for (uint32_t k = 0; k < nest->rank; k++) {
        int repeated = k < skip || (operand->dim[k - skip] == 1 && nest->dim[k] != 1);
        stride[k] = repeated ? 0 : operand->stride[k - skip];
    }
}

static int joins(const ocl_nest *nest, uint32_t outer, uint32_t inner)
{
    for (uint32_t t = 0; t < nest->n; t++) {
        int64_t step = 0;
        if (!ocl_symbol_mul(nest->dim[inner], nest->stride[t][inner], &step)) return 0;
        if (step != nest->stride[t][outer]) return 0;
    }
    return 1;
}

static void take(ocl_nest *nest, uint32_t to, uint32_t from)
{
    nest->dim[to] = nest->dim[from];
    for (uint32_t t = 0; t < nest->n; t++)
        nest->stride[t][to] = nest->stride[t][from];
}

void ocl_nest_merge(ocl_nest *nest)
{
    uint32_t rank = 0;
    for (uint32_t k = 0; k < nest->rank; k++) {
        int64_t both = 0;
        if (nest->dim[k] == 1) continue;
        if (rank && joins(nest, rank - 1, k) &&
            ocl_symbol_mul(nest->dim[rank - 1], nest->dim[k], &both)) {
            take(nest, rank - 1, k);
            nest->dim[rank - 1] = both;
        } else {
            take(nest, rank++, k);
        }
    }
    nest->rank = rank;
}

static void divisor_text(ocl_text *text, const ocl_nest *nest, uint32_t first, uint32_t rank)
{
    int64_t product = 1;
    for (uint32_t k = first; k < rank; k++) {
        int64_t next = 0;
        if (ocl_symbol_mul(product, nest->dim[k], &next)) {
            product = next;
        } else {
            ocl_symbol_text(text, product);
            ocl_text_add(text, "/");
            product = nest->dim[k];
        }
    }
    ocl_symbol_text(text, product);
}

void ocl_nest_index(ocl_text *text, const ocl_nest *nest, uint32_t rank, uint32_t k,
                    const char *var)
{
    const int64_t *stride = nest->stride[k];
    int terms = 0;
    ocl_text_add(text, "(");
    for (uint32_t d = 0; d < rank; d++) {
        if (stride[d] == 0) continue;
        ocl_text_add(text, terms++ ? " + (ulong)(%s" : "(ulong)(%s", var);
        if (d + 1 < rank) {
            ocl_text_add(text, "/");
            divisor_text(text, nest, d + 1, rank);
        }
        if (d > 0) {
            ocl_text_add(text, "%%");
            ocl_symbol_text(text, nest->dim[d]);
        }
        ocl_text_add(text, ")");
        if (stride[d] != 1) {
            ocl_text_add(text, "*");
            ocl_symbol_text(text, stride[d]);
        }
    }
    ocl_text_add(text, terms ? ")" : "0)");
}
