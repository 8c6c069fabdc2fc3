/* Memory ends while a model is made ready for an OpenCL device and runs there: at each allocation
 * once, in one process. The run gives the right numbers or says what is missing, and whatever it
 * had taken is given back. tests/faults/test_alloc.c does the same with whole programs, whose first
 * steps (devices, compiled programs) happen once a process. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>
#include "base/alloc.h"
#include "fixture.h"
#include "opencl_harness.h"

static fixture f;

static weft_status predict(weft_array **y)
{
    weft_session *s = NULL;
    weft_status st = weft_session_create(f.model, "opencl:0", NULL, &s);
    if (!st) st = weft_session_run(s, f.in, f.n_in, y, f.n_out);
    weft_session_destroy(&s);
    return st;
}

static void give_back(weft_array **y)
{
    for (uint32_t i = 0; i < f.n_out; i++)
        weft_array_destroy(&y[i]);
}

/* Allocation n fails: WEFT_OK if the run did not mind. */
static weft_status without(uint64_t n)
{
    weft_array *y[FIXTURE_MAX] = { NULL };
    weft__alloc_fail_at(n);
    weft_status st = predict(y);
    weft__alloc_fail_at(0);
    for (uint32_t i = 0; i < f.n_out && !st; i++)
        if (array_difference(y[i], f.out[i]) > 1e-4)
            fail_msg("allocation %d: wrong numbers", (int)n);
    give_back(y);
    if (st && !holds_words(weft_error(), "memory"))
        fail_msg("allocation %d: status %d, \"%s\"", (int)n, (int)st, weft_error());
    return st;
}

/* An op that could not be asked about is fused with no other, or runs on the cpu: that compiles a
 * program, which stays, the first time. */
static int survives(uint64_t n)
{
    size_t live = weft__alloc_live();
    weft_status st = without(n);
    if (weft__alloc_live() != live) {
        live = weft__alloc_live();
        assert_int_equal(without(n), st);
    }
    if (weft__alloc_live() != live)
        fail_msg("allocation %d: %d blocks leak", (int)n, (int)(weft__alloc_live() - live));
    return st == WEFT_OK;
}

static void each_allocation(void **state)
{
    weft_context *ctx = NULL;
    weft_array *y[FIXTURE_MAX] = { NULL };
    uint64_t before, calls, survived = 0;

    (void)state;
    if (!opencl_backend()) skip();
    if (weft_context_create("plugin_path=\"" WEFT_TEST_PLUGINS "\"", &ctx) ||
        fixture_load(ctx, "models", "P05_a", &f))
        fail_msg("%s", weft_error());
    if (predict(y)) fail_msg("%s", weft_error()); /* compiles what the process then keeps */
    give_back(y);
    before = weft__alloc_calls();
    assert_int_equal(predict(y), WEFT_OK);
    give_back(y);
    calls = weft__alloc_calls() - before;
    for (uint64_t n = 1; n <= calls; n += opencl_simulated() ? 97 : 1)
        survived += (uint64_t)survives(n);
    printf("%d allocations, %d of them not needed\n", (int)calls, (int)survived);
    assert_true(survived < calls / 2);
    fixture_finish(&f);
    weft_context_destroy(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_allocation) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
