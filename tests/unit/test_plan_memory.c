/* The memory plan: values that live at the same time never share bytes, memory is reused, limits
 * hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "graph/dim.h"
#include "plan_harness.h"

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % n;
}

static uint64_t bytes_of(const weft__slot *slot, int64_t batch)
{
    return (uint64_t)weft__affine_at(weft__affine_of(slot->count, 1), batch) *
           weft_dtype_size(slot->dtype);
}

static int alive_together(const weft__slot *a, const weft__slot *b)
{
    return a->kind == WEFT__SLOT_ARENA && b->kind == WEFT__SLOT_ARENA && a->device == b->device &&
           a->first <= b->last && b->first <= a->last && a->first <= a->last && b->first <= b->last;
}

static void expect_apart(weft__plan *plan, int64_t batch)
{
    const weft__memory *m;
    assert_int_equal(weft__memory_at(plan, batch, &m), WEFT_OK);
    for (size_t i = 1; i < plan->n_slots; i++) {
        const weft__slot *a = &plan->slot[i];
        if (a->kind != WEFT__SLOT_ARENA || a->first > a->last) continue;
        assert_int_equal(m->offset[i] % 64, 0);
        assert_true(m->offset[i] + bytes_of(a, batch) <=
                    m->need[a->device * WEFT__MAX_ARENAS + m->arena[i]]);
        for (size_t k = i + 1; k < plan->n_slots; k++) {
            const weft__slot *b = &plan->slot[k];
            if (!alive_together(a, b) || m->arena[i] != m->arena[k]) continue;
            assert_true(m->offset[i] + bytes_of(a, batch) <= m->offset[k] ||
                        m->offset[k] + bytes_of(b, batch) <= m->offset[i]);
        }
    }
}

/* A random graph of maps, reductions and concats of (batch, n) values. */
static void grow(sketch *s)
{
    weft_val value[24];
    int64_t width[24];
    uint32_t n = 2;
    for (uint32_t i = 0; i < 2; i++) {
        char name[4] = { 'x', (char)('0' + i), 0 };
        width[i] = (int64_t)(1 + random_below(9));
        value[i] = sketch_input(s, name, SHAPE(-1, width[i]));
    }
    for (; n < 24; n++) {
        uint64_t a = random_below(n), b = random_below(n);
        if (random_below(3)) {
            value[n] =
                sketch_op(s, "map", "map", random_below(2) ? "expr=\"tanh(a)\"" : "expr=\"a*a\"",
                          ARGS(value[a]));
            width[n] = width[a];
        } else {
            value[n] = sketch_op(s, "concat", "concat", "axis=1", ARGS(value[a], value[b]));
            width[n] = width[a] + width[b];
            if (width[n] > 60) {
                value[n] =
                    sketch_op(s, "sum", "reduce", "fn=mean axes=(1) keepdims=true", ARGS(value[n]));
                width[n] = 1;
            }
        }
    }
    for (uint32_t i = 0; i < 3; i++)
        sketch_output(s, value[n - 1 - random_below(8)]);
}

static void test_random_graphs(void **state)
{
    static const uint32_t flags[] = { UINT32_MAX, WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_OUT_PITCHED,
                                      0, WEFT_KERNEL_INPLACE };
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        weft__devices *devices = plan_devices(seed % 5 ? "fake" : "fake,cpu");
        sketch s;
        weft__plan *plan;
        random_state = seed;
        fake_backend.flags = flags[seed % 4];
        fake_backend.refused = seed % 5 ? NULL : " reduce ";
        fake_backend.no_wrap = seed % 2;
        sketch_begin(&s);
        grow(&s);
        plan = plan_make(&s, devices, NULL);
        for (int64_t batch = 1; batch < 200; batch = batch * 3 + 1)
            expect_apart(plan, batch);
        weft__plan_destroy(&plan);
        plan_agree(&s, devices, NULL, (int64_t)(1 + seed % 4));
        weft__graph_destroy(&s.graph);
        weft__devices_close(&devices);
    }
}

static weft_val chain(sketch *s, weft_val x, int length)
{
    for (int i = 0; i < length; i++)
        x = sketch_op(s, "link", "map", i % 2 ? "expr=\"a+1\"" : "expr=\"tanh(a)\"", ARGS(x));
    return x;
}

static void test_memory_is_reused(void **state)
{
    weft__devices *devices = plan_devices("fake");
    const weft__memory *m;
    weft__plan *plan;
    sketch s;
    (void)state;
    fake_backend.flags = 0;
    sketch_begin(&s);
    sketch_output(&s, chain(&s, sketch_input(&s, "x", SHAPE(-1, 16)), 20));
    plan = plan_make(&s, devices, &(weft__plan_options){ .views = 1 });
    assert_int_equal(weft__memory_at(plan, 100, &m), WEFT_OK);
    assert_int_equal(m->need[0], 2 * 100 * 16 * 4); /* 19 results, two at a time */
    assert_int_equal(m->need[1], 0);
    weft__plan_destroy(&plan);
    weft__graph_destroy(&s.graph);
    weft__devices_close(&devices);
}

static void test_several_arenas_below_the_limit(void **state)
{
    weft__devices *devices = plan_devices("fake");
    weft_array *y = NULL;
    weft__plan *plan;
    const weft__memory *m;
    sketch s;
    (void)state;
    fake_backend.flags = 0;
    devices->device[0].info.max_alloc = 1000;
    sketch_begin(&s);
    sketch_output(&s, chain(&s, sketch_input(&s, "x", SHAPE(-1, 16)), 5));
    plan = plan_make(&s, devices, &(weft__plan_options){ .views = 1 });
    assert_int_equal(weft__memory_at(plan, 10, &m), WEFT_OK);
    assert_int_equal(m->need[0], 640);
    assert_int_equal(m->need[1], 640);
    assert_int_equal(weft__memory_at(plan, 16, &m), WEFT_E_NOMEM);
    assert_non_null(strstr(weft_error(), "\"link\""));
    assert_non_null(strstr(weft_error(), "1024 bytes"));
    assert_non_null(strstr(weft_error(), "1000 bytes"));
    plan_run_random(plan, 10, 1, &y);
    weft_array_destroy(&y);
    weft__plan_destroy(&plan);
    weft__graph_destroy(&s.graph);
    weft__devices_close(&devices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_memory_is_reused),
        cmocka_unit_test(test_several_arenas_below_the_limit),
    };
    return cmocka_run_group_tests(tests, plan_setup, plan_teardown);
}
