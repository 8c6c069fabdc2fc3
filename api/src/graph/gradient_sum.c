/* Accumulation: one value from the gradients that the readers of a value contribute. Slices give
 * pads; where those lie side by side they are joined, which costs no arithmetic and, as a plan lays
 * concats out, often no copy. */
#include <stdlib.h>
#include <string.h>
#include <weft/map.h>
#include "base/alloc.h"
#include "graph/gradient.h"
#include "graph/node.h"
#include "graph/ops/ops.h"

typedef struct tile { /* a pad along one axis, or none (size < 0) */
    int64_t low, size;
    uint32_t part; /* which */
    weft_val piece;
    int chosen;
} tile;

typedef struct parts {
    weft__graph *graph;
    const char *path;
    weft_val *part;
    uint32_t n;
    tile *tile; /* scratch, n */
} parts;

/* Is the part zeros around a piece, along this axis alone? */
static int find_tile(const parts *p, uint32_t i, int32_t axis, tile *t)
{
    int64_t low[WEFT_MAX_RANK], high[WEFT_MAX_RANK];
    const weft__node *from = weft__graph_producer(p->graph, p->part[i]);
    if (!from || from->op != &weft__op_pad || weft__attrs_f(from->attrs, "value") != 0) return 0;
    uint32_t n = weft__attrs_v(from->attrs, "low", low, WEFT_MAX_RANK);
    weft__attrs_v(from->attrs, "high", high, WEFT_MAX_RANK);
    for (uint32_t k = 0; k < n; k++)
        if ((low[k] || high[k]) != (k == (uint32_t)axis)) return 0;
    *t = (tile){ .low = low[axis],
                 .size = weft__graph_spec(p->graph, from->in[0])->dim[axis],
                 .part = i,
                 .piece = from->in[0] };
    return 1;
}

static int by_place(const void *a, const void *b)
{
    const tile *x = a, *y = b;
    if (x->low != y->low) return x->low < y->low ? -1 : 1;
    return x->part < y->part ? -1 : x->part > y->part;
}

/* The tiles of an axis, in order of place; those that follow each other without overlap are
 * chosen. */
static uint32_t choose(parts *p, int32_t axis, uint32_t *n)
{
    uint32_t chosen = 0;
    int64_t end = 0;
    *n = 0;
    for (uint32_t i = 0; i < p->n; i++)
        *n += (uint32_t)find_tile(p, i, axis, &p->tile[*n]);
    qsort(p->tile, *n, sizeof *p->tile, by_place);
    for (uint32_t i = 0; i < *n; i++) {
        tile *t = &p->tile[i];
        if (t->low < end) continue;
        t->chosen = 1;
        chosen++;
        end = t->low + t->size;
    }
    return chosen;
}

typedef struct row { /* what is joined along the axis, from 0 to end so far */
    weft_spec all;
    int32_t axis;
    int64_t end;
    weft_val *piece;
    uint32_t n;
} row;

/* Zeros up to `to`. */
static weft_status add_gap(const parts *p, row *r, int64_t to)
{
    weft_spec gap = r->all;
    gap.dim[r->axis] = to - r->end;
    return to > r->end ? weft__gradient_zeros(p->graph, p->path, &gap, &r->piece[r->n++]) : WEFT_OK;
}

/* The chosen ones of n tiles become one part. */
static weft_status join(parts *p, int32_t axis, uint32_t n)
{
    row r = { .all = *weft__graph_spec(p->graph, p->part[0]), .axis = axis };
    weft_val joined;
    uint32_t left = 0;
    char attrs[32];
    snprintf(attrs, sizeof attrs, "axis=%d", (int)axis);
    r.piece = weft__alloc_n(2 * (size_t)n + 1, sizeof *r.piece);
    weft_status st = r.piece ? WEFT_OK : WEFT_E_NOMEM;
    for (uint32_t i = 0; !st && i < n; i++) {
        const tile *t = &p->tile[i];
        if (!t->chosen) continue;
        st = add_gap(p, &r, t->low);
        r.piece[r.n++] = t->piece;
        r.end = t->low + t->size;
        p->part[t->part] = 0;
    }
    if (!st) st = add_gap(p, &r, r.all.dim[axis]);
    weft__op_request request = {
        .name = "concat", .attrs = attrs, .path = p->path, .in = r.piece, .n_in = r.n
    };
    if (!st) st = weft__graph_try_op(p->graph, &request, &joined);
    for (uint32_t i = 0; !st && i < p->n; i++)
        if (p->part[i]) p->part[left++] = p->part[i];
    if (!st) {
        p->part[left++] = joined;
        p->n = left;
    }
    weft__free(r.piece);
    return st;
}

static weft_status join_tiles(parts *p)
{
    const int32_t rank = weft__graph_spec(p->graph, p->part[0])->rank;
    weft_status st = WEFT_OK;
    for (int32_t axis = 0; !st && axis < rank; axis++) {
        uint32_t n;
        while (!st && p->n > 1 && choose(p, axis, &n) > 1)
            st = join(p, axis, n);
    }
    return st;
}

/* a+b+c.. of so many values as one expression takes, and so on with the sum. */
static weft_status add_up(parts *p)
{
    weft_status st = WEFT_OK;
    while (!st && p->n > 1) {
        uint32_t n = p->n < WEFT_MAP_MAX_INPUTS ? p->n : WEFT_MAP_MAX_INPUTS;
        char attrs[2 * WEFT_MAP_MAX_INPUTS + 16] = "expr=\"a";
        for (uint32_t i = 1, at = 7; i < n; i++)
            at += (uint32_t)snprintf(attrs + at, sizeof attrs - at, "+%c", (int)('a' + i));
        strcat(attrs, "\"");
        weft__op_request request = {
            .name = "map", .attrs = attrs, .path = p->path, .in = p->part, .n_in = n
        };
        weft_val sum;
        if ((st = weft__graph_try_op(p->graph, &request, &sum))) break;
        p->part[0] = sum;
        memmove(p->part + 1, p->part + n, (p->n - n) * sizeof *p->part);
        p->n -= n - 1;
    }
    return st;
}

weft_status weft__gradient_sum(weft__graph *graph, const char *path, weft_val *part, uint32_t n,
                               weft_val *sum)
{
    parts p = { .graph = graph, .path = path, .part = part, .n = n };
    weft_status st = WEFT_OK;
    if (n > 1 && !(p.tile = weft__alloc_n(n, sizeof *p.tile))) return WEFT_E_NOMEM;
    if (n > 1) st = join_tiles(&p);
    if (!st) st = add_up(&p);
    if (!st) *sum = part[0];
    weft__free(p.tile);
    return st;
}
