/* What the tests of graphs share: a context, short ways to add values and ops, and comparing by
 * printing. */
#ifndef WEFT_TESTS_GRAPH_UTIL_H
#define WEFT_TESTS_GRAPH_UTIL_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "graph/graph.h"

#define N(a) (sizeof(a) / sizeof *(a))
#define SPEC(dtype, ...) \
    (&(weft_spec){       \
        dtype, (int32_t)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), { __VA_ARGS__ } })
#define OP(graph, name, attrs, ...)                          \
    test_op(graph, name, attrs, (weft_val[]){ __VA_ARGS__ }, \
            sizeof((weft_val[]){ __VA_ARGS__ }) / sizeof(weft_val))
/* The op must fail, with that status and text. */
#define REFUSED(graph, status, text, name, attrs, ...)                          \
    test_refused(graph, status, text, name, attrs, (weft_val[]){ __VA_ARGS__ }, \
                 sizeof((weft_val[]){ __VA_ARGS__ }) / sizeof(weft_val))

static weft_context *test_ctx;

static inline int test_open(void **state)
{
    (void)state;
    return weft_context_create(NULL, &test_ctx);
}

static inline int test_close(void **state)
{
    (void)state;
    weft_context_destroy(&test_ctx);
    return 0;
}

static inline weft_val test_try(weft__graph *graph, const char *name, const char *attrs,
                                const weft_val *in, size_t n)
{
    return weft__graph_op(
        graph, &(weft__op_request){
                   .name = name, .attrs = attrs, .path = "", .in = in, .n_in = (uint32_t)n });
}

static inline weft_val test_op(weft__graph *graph, const char *name, const char *attrs,
                               const weft_val *in, size_t n)
{
    weft_val v = test_try(graph, name, attrs, in, n);
    if (!v) fail_msg("%s %s: %s", name, attrs ? attrs : "", weft_error());
    return v;
}

static inline void test_refused(weft__graph *graph, weft_status status, const char *text,
                                const char *name, const char *attrs, const weft_val *in, size_t n)
{
    weft_val v = test_try(graph, name, attrs, in, n);
    (void)status;
    if (v) fail_msg("%s %s was not refused", name, attrs ? attrs : "");
    if (!strstr(weft_error(), text))
        fail_msg("%s %s gives: %s", name, attrs ? attrs : "", weft_error());
}

static inline weft_val test_scalar(weft__graph *graph, double value)
{
    return weft__graph_constant(graph, &(weft_spec){ WEFT_F64, 0, { 0 } }, &value, 1);
}

static inline void test_print(const weft__graph *graph, const char *want)
{
    weft__text text = { 0 };
    weft__graph_print(graph, &text);
    if (strcmp(text.s ? text.s : "", want) != 0) fail_msg("\n%s\nis not\n%s", text.s, want);
    weft__text_finish(&text);
}
#endif
