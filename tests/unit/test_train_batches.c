/* Batches: every sample once an epoch, in an order that the seed and the epoch decide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "train/batches.h"

enum { N = 103 };

/* Sample i: two inputs and a target that say i, each in its own dtype and shape. */
typedef struct samples {
    float x[N][3][2];
    uint8_t z[N];
    int64_t y[N][1];
    weft_array array[3];
    const weft_array *list[3];
    weft_data data;
} samples;

static void make_samples(samples *s)
{
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < 6; k++)
            s->x[i][k / 2][k % 2] = (float)(10 * i + k);
        s->z[i] = (uint8_t)i;
        s->y[i][0] = i;
    }
    s->array[0] = (weft_array){ { WEFT_F32, 3, { N, 3, 2 } }, s->x };
    s->array[1] = (weft_array){ { WEFT_U8, 1, { N } }, s->z };
    s->array[2] = (weft_array){ { WEFT_I64, 2, { N, 1 } }, s->y };
    for (int k = 0; k < 3; k++)
        s->list[k] = &s->array[k];
    s->data = (weft_data){ s->list, s->list + 2, 2, 1 };
}

/* Checks that the rows of a batch belong together; their numbers go to order. */
static uint64_t read_batch(const weft_data *batch, int64_t *order)
{
    uint64_t n = (uint64_t)batch->y[0]->spec.dim[0];
    const float(*x)[3][2] = batch->x[0]->data;
    const uint8_t *z = batch->x[1]->data;
    const int64_t *y = batch->y[0]->data;
    assert_int_equal(batch->n_x, 2);
    assert_int_equal(batch->n_y, 1);
    assert_int_equal(batch->x[0]->spec.dim[0], n);
    assert_int_equal(batch->x[0]->spec.dim[2], 2);
    assert_int_equal(batch->x[1]->spec.dim[0], n);
    for (uint64_t i = 0; i < n; i++) {
        order[i] = y[i];
        assert_int_equal(z[i], y[i]);
        for (int k = 0; k < 6; k++)
            assert_true(x[i][k / 2][k % 2] == (float)(10 * y[i] + k));
    }
    return n;
}

/* The order of an epoch; sizes of the batches are checked. */
static void read_epoch(weft__batches *b, uint64_t seed, uint32_t epoch, int64_t order[N])
{
    const weft_data *batch;
    uint64_t done = 0, count = 0;
    weft__batches_start(b, seed, epoch);
    for (; (batch = weft__batches_next(b)); count++) {
        uint64_t n = read_batch(batch, order + done);
        done += n;
        if (done < b->n) assert_int_equal(n, b->batch_size);
    }
    assert_int_equal(done, b->n);
    assert_int_equal(count, weft__batches_count(b));
    assert_null(weft__batches_next(b));
}

static void every_sample_once(const int64_t order[N], uint64_t first, uint64_t n)
{
    int seen[N] = { 0 };
    for (uint64_t i = 0; i < n; i++) {
        assert_in_range(order[i], first, first + n - 1);
        assert_int_equal(seen[order[i]]++, 0);
    }
}

static void keeps_the_order(void **state)
{
    static samples s;
    int64_t order[N];
    (void)state;
    make_samples(&s);
    weft__batches b = { .data = &s.data, .n = N, .batch_size = 32 };
    assert_int_equal(weft__batches_init(&b), WEFT_OK);
    assert_int_equal(weft__batches_count(&b), 4);
    for (uint32_t epoch = 1; epoch < 3; epoch++) {
        read_epoch(&b, 7, epoch, order);
        for (int i = 0; i < N; i++)
            assert_int_equal(order[i], i);
    }
    weft__batches_start(&b, 0, 0);
    const weft_data *batch = weft__batches_next(&b);
    assert_ptr_equal(batch->x[0]->data, s.x); /* no copy */
    batch = weft__batches_next(&b);
    assert_ptr_equal(batch->x[0]->data, s.x[32]);
    weft__batches_finish(&b);
}

static void shuffles(void **state)
{
    static const uint64_t sizes[] = { 1, 7, 32, 103, 1000, UINT64_MAX };
    static samples s;
    int64_t first[N], again[N], next[N], other[N];
    (void)state;
    make_samples(&s);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        weft__batches b = { .data = &s.data, .n = N, .batch_size = sizes[k], .shuffle = 1 };
        assert_int_equal(weft__batches_init(&b), WEFT_OK);
        read_epoch(&b, 7, 1, first);
        uint64_t calls = weft__alloc_calls();
        read_epoch(&b, 7, 2, next);
        read_epoch(&b, 8, 1, other);
        read_epoch(&b, 7, 1, again);
        assert_int_equal(weft__alloc_calls(), calls);
        every_sample_once(first, 0, N);
        every_sample_once(next, 0, N);
        every_sample_once(other, 0, N);
        assert_memory_equal(first, again, sizeof first);
        assert_memory_not_equal(first, next, sizeof first);
        assert_memory_not_equal(first, other, sizeof first);
        weft__batches_finish(&b);
    }
}

static void a_part_of_the_samples(void **state)
{
    static samples s;
    int64_t order[N];
    (void)state;
    make_samples(&s);
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        weft__batches b = {
            .data = &s.data, .first = 60, .n = 31, .batch_size = 10, .shuffle = shuffle
        };
        assert_int_equal(weft__batches_init(&b), WEFT_OK);
        assert_int_equal(weft__batches_count(&b), 4);
        read_epoch(&b, 1, 1, order);
        every_sample_once(order, 60, 31);
        weft__batches_finish(&b);
    }
}

/* All 24 orders of 4 samples come about equally often: chi-squared of 23 degrees of freedom stays
 * below 49.7 in 999 of 1000 cases, and the seed is fixed. */
static void every_order_is_as_likely(void **state)
{
    static samples s;
    enum { EPOCHS = 24000 };
    int64_t order[N];
    int count[256] = { 0 }, orders = 0;
    double chi = 0;
    (void)state;
    make_samples(&s);
    weft__batches b = { .data = &s.data, .n = 4, .batch_size = 4, .shuffle = 1 };
    assert_int_equal(weft__batches_init(&b), WEFT_OK);
    for (uint32_t epoch = 1; epoch <= EPOCHS; epoch++) {
        read_epoch(&b, 3, epoch, order);
        count[order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3]]++;
    }
    for (int i = 0; i < 256; i++) {
        double d = count[i] - EPOCHS / 24.0;
        if (!count[i]) continue;
        orders++;
        chi += d * d / (EPOCHS / 24.0);
    }
    assert_int_equal(orders, 24);
    assert_true(chi < 49.7);
    weft__batches_finish(&b);
}

/* floor(n (1 - split)), in the doubles that Python has: Keras's train_validation_split. */
static void splits_as_keras(void **state)
{
    (void)state;
    assert_int_equal(weft__batches_split(1437, 0.2), 1149);
    assert_int_equal(weft__batches_split(10, 0.2), 8);
    assert_int_equal(weft__batches_split(10, 0.3), 7);
    assert_int_equal(weft__batches_split(10, 0.9), 0); /* 10 * 0.09999999999999998 */
    assert_int_equal(weft__batches_split(100, 0.001), 99);
    assert_int_equal(weft__batches_split(1, 0.5), 0);
}

static void fails_without_memory(void **state)
{
    static samples s;
    size_t live = weft__alloc_live();
    (void)state;
    make_samples(&s);
    for (uint64_t n = 1;; n++) {
        weft__batches b = { .data = &s.data, .n = N, .batch_size = 8, .shuffle = 1 };
        weft__alloc_fail_at(n);
        weft_status st = weft__batches_init(&b);
        weft__alloc_fail_at(0);
        if (!st) {
            assert_int_equal(n, 8); /* parts, list, order, staging and its three, then none */
            weft__batches_finish(&b);
            break;
        }
        assert_int_equal(st, WEFT_E_NOMEM);
        assert_int_equal(weft__alloc_live(), live);
    }
    assert_int_equal(weft__alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order),       cmocka_unit_test(shuffles),
        cmocka_unit_test(a_part_of_the_samples), cmocka_unit_test(every_order_is_as_likely),
        cmocka_unit_test(splits_as_keras),       cmocka_unit_test(fails_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
