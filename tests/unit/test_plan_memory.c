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

/* A random graph of values (batch, h, w): movement, concats along all axes, maps, reductions. */
enum { VALUES = 30 };
typedef struct shaped {
    weft_val value;
    int64_t h, w;
} shaped;

static shaped op_of(sketch *s, const char *op, const char *attrs, shaped x, int64_t h, int64_t w)
{
    return (shaped){ sketch_op(s, op, op, attrs, ARGS(x.value)), h, w };
}

static shaped sliced(sketch *s, shaped x)
{
    char text[128];
    int64_t y = (int64_t)random_below((uint64_t)x.h), step = 1 + (int64_t)random_below(2);
    int64_t h = (x.h - y + step - 1) / step, w = 1 + (int64_t)random_below((uint64_t)x.w);
    snprintf(text, sizeof text, "begin=(0,%d,%d) size=(-1,%d,%d) step=(1,%d,1)", (int)y,
             (int)(x.w - w), (int)h, (int)w, (int)step);
    return op_of(s, "slice", text, x, h, w);
}

/* With the first earlier value that fits, or with itself. */
static shaped joined(sketch *s, const shaped *all, uint32_t n, shaped x)
{
    uint64_t axis = 1 + random_below(2);
    shaped y = x;
    for (uint32_t i = (uint32_t)random_below(n); i < n; i++)
        if (axis == 1 ? all[i].w == x.w : all[i].h == x.h) {
            y = all[i];
            break;
        }
    weft_val v =
        sketch_op(s, "concat", "concat", axis == 1 ? "axis=1" : "axis=2", ARGS(y.value, x.value));
    return (shaped){ v, axis == 1 ? x.h + y.h : x.h, axis == 2 ? x.w + y.w : x.w };
}

static shaped grown(sketch *s, const shaped *all, uint32_t n)
{
    shaped x = all[random_below(n)];
    char text[64];
    if (x.h * x.w > 150) return op_of(s, "reduce", "fn=max axes=(1) keepdims=true", x, 1, x.w);
    switch (random_below(8)) {
    case 0: return op_of(s, "map", "expr=\"tanh(a)\"", x, x.h, x.w);
    case 1: return op_of(s, "map", "expr=\"a*a\"", x, x.h, x.w);
    case 2: return op_of(s, "transpose", "perm=(0,2,1)", x, x.w, x.h);
    case 3: return sliced(s, x);
    case 4:
        snprintf(text, sizeof text, "shape=(-1,%d,%d)", (int)x.w, (int)x.h);
        return op_of(s, "reshape", text, x, x.w, x.h);
    case 5: return op_of(s, "reduce", "fn=mean axes=(2) keepdims=true", x, x.h, 1);
    default: return joined(s, all, n, x);
    }
}

static void grow(sketch *s)
{
    shaped all[VALUES];
    for (uint32_t i = 0; i < 2; i++) {
        char name[4] = { 'x', (char)('0' + i), 0 };
        all[i].h = (int64_t)(1 + random_below(5));
        all[i].w = (int64_t)(1 + random_below(5));
        all[i].value = sketch_input(s, name, SHAPE(-1, all[i].h, all[i].w));
    }
    for (uint32_t n = 2; n < VALUES; n++)
        all[n] = grown(s, all, n);
    for (uint32_t i = 0; i < 4; i++)
        sketch_output(s, all[VALUES - 1 - random_below(10)].value);
}

static void test_random_graphs(void **state)
{
    static const uint32_t flags[] = { UINT32_MAX, WEFT_KERNEL_IN_PITCHED | WEFT_KERNEL_OUT_PITCHED,
                                      0, WEFT_KERNEL_INPLACE };
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
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

static void test_devices_by_any_spelling(void **state)
{
    weft__devices *devices = NULL;
    (void)state;
    assert_int_equal(weft__devices_open(plan_ctx, "cpu:0, cpu,cpu:0", 0, &devices), WEFT_OK);
    assert_int_equal(devices->n, 1);
    assert_string_equal(devices->device[0].id, "cpu");
    weft__devices_close(&devices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_graphs),
        cmocka_unit_test(test_memory_is_reused),
        cmocka_unit_test(test_several_arenas_below_the_limit),
        cmocka_unit_test(test_devices_by_any_spelling),
    };
    return cmocka_run_group_tests(tests, plan_setup, plan_teardown);
}
