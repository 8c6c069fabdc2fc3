/* Batches without a copy where the samples keep their order (views into the caller's arrays), and
 * with one copy, into memory that every batch uses again, where they are shuffled. */
#include "train/batches.h"
#include <math.h>
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "model/random.h"

/* Array k of the data: inputs, then targets. */
static const weft_array *array_at(const weft_data *data, uint32_t k)
{
    return k < data->n_x ? data->x[k] : data->y[k - data->n_x];
}

static size_t row_bytes(const weft_array *array)
{
    size_t bytes = weft_dtype_size(array->spec.dtype);
    for (int32_t i = 1; i < array->spec.rank; i++)
        bytes *= (size_t)array->spec.dim[i];
    return bytes;
}

uint64_t weft__batches_split(uint64_t n, double split)
{
    return (uint64_t)floor((double)n * (1.0 - split));
}

uint64_t weft__batches_count(const weft__batches *batches)
{
    return (batches->n - 1) / batches->batch_size + 1;
}

static weft_status allocate(weft__batches *b)
{
    uint32_t n = b->data->n_x + b->data->n_y;
    uint64_t most = b->n < b->batch_size ? b->n : b->batch_size;
    if (!(b->part = weft__alloc_n(n, sizeof *b->part))) return WEFT_E_NOMEM;
    if (!(b->list = weft__alloc_n(n, sizeof *b->list))) return WEFT_E_NOMEM;
    if (!b->shuffle) return WEFT_OK;
    if (!(b->order = weft__alloc_n(b->n, sizeof *b->order))) return WEFT_E_NOMEM;
    if (!(b->staging = weft__alloc_n(n, sizeof *b->staging))) return WEFT_E_NOMEM;
    for (uint32_t k = 0; k < n; k++) /* at most as large as the array itself */
        if (!(b->staging[k] = weft__alloc(most * row_bytes(array_at(b->data, k)))))
            return WEFT_E_NOMEM;
    return WEFT_OK;
}

weft_status weft__batches_init(weft__batches *b)
{
    uint32_t n = b->data->n_x + b->data->n_y;
    weft_status st = allocate(b);
    if (st) {
        weft__batches_finish(b);
        return st;
    }
    for (uint32_t k = 0; k < n; k++) {
        b->part[k] = *array_at(b->data, k);
        b->list[k] = &b->part[k];
    }
    b->batch = (weft_data){ b->list, b->list + b->data->n_x, b->data->n_x, b->data->n_y };
    return WEFT_OK;
}

void weft__batches_finish(weft__batches *b)
{
    for (uint32_t k = 0; b->staging && k < b->data->n_x + b->data->n_y; k++)
        weft__free(b->staging[k]);
    weft__free(b->staging);
    weft__free(b->order);
    weft__free(b->list);
    weft__free(b->part);
    *b = (weft__batches){ 0 };
}

/* A number below bound, each as likely as the others: a draw from the incomplete last round of 2^64
 * is thrown away. */
static uint64_t below(uint64_t key, uint32_t epoch, uint64_t i, uint64_t bound)
{
    uint64_t end = UINT64_MAX - UINT64_MAX % bound;
    for (uint32_t attempt = 0;; attempt++) {
        uint32_t counter[4] = { (uint32_t)i, (uint32_t)(i >> 32), attempt, epoch }, word[4];
        weft__philox(key, counter, word);
        uint64_t draw = (uint64_t)word[1] << 32 | word[0];
        if (draw < end) return draw % bound;
    }
}

/* Fisher and Yates's shuffle, in Durstenfeld's form (Algorithm 235, CACM 7, 1964). */
static void shuffle(const weft__batches *b, uint64_t seed, uint32_t epoch)
{
    uint64_t key = weft__stream_key(seed, "shuffle");
    for (uint64_t i = 0; i < b->n; i++)
        b->order[i] = b->first + i;
    for (uint64_t i = b->n - 1; i > 0; i--) {
        uint64_t k = below(key, epoch, i, i + 1), sample = b->order[i];
        b->order[i] = b->order[k];
        b->order[k] = sample;
    }
}

void weft__batches_start(weft__batches *b, uint64_t seed, uint32_t epoch)
{
    b->at = 0;
    if (b->shuffle) shuffle(b, seed, epoch);
}

static void gather(const weft__batches *b, const weft_array *whole, void *rows, uint64_t n)
{
    size_t row = row_bytes(whole);
    for (uint64_t i = 0; i < n && row; i++)
        memcpy((char *)rows + i * row, (const char *)whole->data + b->order[b->at + i] * row, row);
}

const weft_data *weft__batches_next(weft__batches *b)
{
    uint64_t left = b->n - b->at, n = left < b->batch_size ? left : b->batch_size;
    if (!n) return NULL;
    for (uint32_t k = 0; k < b->data->n_x + b->data->n_y; k++) {
        const weft_array *whole = array_at(b->data, k);
        b->part[k].spec.dim[0] = (int64_t)n;
        if (b->shuffle) {
            b->part[k].data = b->staging[k];
            gather(b, whole, b->staging[k], n);
        } else if (whole->data)
            b->part[k].data = (char *)whole->data + (b->first + b->at) * row_bytes(whole);
    }
    b->at += n;
    return &b->batch;
}
