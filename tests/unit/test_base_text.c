/* Growing strings, numbers as text, the error record, logs, settings, names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <weft/context.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/suggest.h"
#include "base/text.h"

static void assert_double(double value, const char *wanted)
{
    weft__text text = { 0 };
    weft__text_double(&text, value);
    assert_string_equal(text.s, wanted);
    weft__text_finish(&text);
}

static void prints_doubles(void **state)
{
    (void)state;
    assert_double(0, "0.0");
    assert_double(-0.0, "-0.0");
    assert_double(0.1, "0.1");
    assert_double(1, "1.0");
    assert_double(1e-5, "1e-05");
    assert_double(1e22, "1e+22");
    assert_double(1.0 / 3, "0.3333333333333333");
    assert_double((double)INFINITY, "inf");
    assert_double(-(double)INFINITY, "-inf");
    assert_double((double)NAN, "nan");
    assert_double(5e-324, "5e-324");
    assert_double(123456789, "123456789.0");
    assert_double(5e-320, "5e-320");
}

static void doubles_survive(void **state)
{
    uint64_t seed = 42;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        double value, back;
        char *end;
        weft__text text = { 0 };
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        memcpy(&value, &seed, sizeof value);
        if (i % 4 == 0) value = (double)(float)(seed % 100000) / 1000;
        if (isnan(value)) continue;
        weft__text_double(&text, value);
        back = weft__strtod(text.s, &end);
        assert_int_equal(*end, 0);
        if (memcmp(&back, &value, sizeof back)) fail_msg("%a became %s", value, text.s);
        weft__text_finish(&text);
    }
}

static void ignores_the_locale(void **state)
{
    static const char *const comma[] = { "de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "nl_NL.UTF-8" };
    const char *found = NULL;
    (void)state;
    for (size_t i = 0; i < 4 && !found; i++)
        found = setlocale(LC_ALL, comma[i]);
    if (!found) skip();
    assert_double(0.5, "0.5");
    assert_true(weft__strtod("0.5", NULL) == 0.5);
    weft_fail(WEFT_E_ARG, "%g", 0.5);
    assert_string_equal(weft_error(), "0.5");
    setlocale(LC_ALL, "C");
}

static void grows(void **state)
{
    weft__text text = { 0 };
    (void)state;
    for (int i = 0; i < 1000; i++)
        weft__text_add(&text, "%d,", i);
    assert_int_equal(text.n, 3890);
    weft__text_add(&text, "%1000d", 7);
    assert_int_equal(text.n, 4890);
    assert_int_equal(strlen(text.s), 4890);
    char *taken = weft__text_take(&text);
    assert_memory_equal(taken, "0,1,2,", 6);
    assert_null(text.s);
    weft__free(taken);
    taken = weft__text_take(&text); /* of nothing: an empty string */
    assert_string_equal(taken, "");
    weft__free(taken);
    weft__alloc_fail_at(1);
    weft__text_add(&text, "x");
    weft__text_add(&text, "y");
    assert_true(text.failed);
    assert_null(weft__text_take(&text));
    assert_int_equal(weft__alloc_live(), 0);
}

static void prints_shapes(void **state)
{
    weft_spec spec = { WEFT_F32, 4, { WEFT_BATCH, 64, WEFT_ANY, -12 } };
    weft__text text = { 0 };
    (void)state;
    weft__text_shape(&text, &spec);
    spec.rank = 1;
    weft__text_shape(&text, &spec);
    spec.rank = 0;
    weft__text_shape(&text, &spec);
    assert_string_equal(text.s, "(None, 64, ?, 12*B)(None,)()");
    weft__text_finish(&text);
}

/* The buffer holds the longest shape there is, and what is no shape is not read. */
static void shows_any_shape(void **state)
{
    weft_spec spec = { .dtype = WEFT_F32, .rank = WEFT_MAX_RANK };
    weft__shape_text text;
    (void)state;
    for (int i = 0; i < WEFT_MAX_RANK; i++)
        spec.dim[i] = -INT64_MAX;
    assert_string_equal(weft__shape_show(&spec, &text),
                        "(9223372036854775807*B, 9223372036854775807*B, 9223372036854775807*B, "
                        "9223372036854775807*B, 9223372036854775807*B, 9223372036854775807*B, "
                        "9223372036854775807*B, 9223372036854775807*B)");
    spec.rank = WEFT_MAX_RANK + 1;
    assert_string_equal(weft__shape_show(&spec, &text), "?");
    spec.rank = -1;
    assert_string_equal(weft__shape_show(&spec, &text), "?");
}

static void *in_another_thread(void *user)
{
    assert_string_equal(weft_error(), "");
    weft__text big = { 0 };
    for (int i = 0; i < 2000; i++)
        weft__text_add(&big, "line %d\n", i);
    weft_fail(WEFT_E_ARG, "%s", big.s);
    assert_string_equal(weft_error(), big.s);
    weft_fail(WEFT_E_ARG, "again %s", weft_error()); /* quotes itself */
    assert_memory_equal(weft_error(), "again line 0\n", 13);
    assert_int_equal(strlen(weft_error()), big.n + 6);
    weft__text_finish(&big);
    return user;
}

static void records_failures(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(weft_fail(WEFT_E_SHAPE, "axis %d", 3), WEFT_E_SHAPE);
    assert_string_equal(weft_error(), "axis 3");
    assert_int_equal(pthread_create(&thread, NULL, in_another_thread, NULL), 0);
    pthread_join(thread, NULL);
    assert_string_equal(weft_error(), "axis 3");
    assert_int_equal(weft__fail_text(WEFT_E_IO, weft_error()), WEFT_E_IO);
    assert_string_equal(weft_error(), "axis 3");
    assert_int_equal(weft__fail_status(), WEFT_E_IO);
    errno = ENOENT;
    weft_fail(WEFT_E_IO, "x");
    assert_int_equal(errno, ENOENT);
}

static void says_where(void **state)
{
    char wide[400];
    (void)state;
    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = 0;
    size_t outer = weft__where_push("model \"%s\"", "m");
    size_t inner = weft__where_push("layer %d", 5);
    weft_fail(WEFT_E_SHAPE, "bad");
    assert_string_equal(weft_error(), "model \"m\": layer 5: bad");
    weft__where_pop(inner);
    weft_fail(WEFT_E_SHAPE, "quoted (%s)", weft_error());
    assert_string_equal(weft_error(), "model \"m\": quoted (model \"m\": layer 5: bad)");
    for (int i = 0; i < 40; i++)
        weft__where_push("%s", wide);
    weft_fail(WEFT_E_SHAPE, "deep");
    assert_non_null(strstr(weft_error(), ": deep"));
    weft__where_pop(outer);
    weft_fail(WEFT_E_SHAPE, "flat");
    assert_string_equal(weft_error(), "flat");
}

static void keep_message(void *user, weft_log_level level, const char *message)
{
    (void)level;
    *(size_t *)user += strlen(message);
}

static void logs(void **state)
{
    size_t n = 0;
    weft__log log = { WEFT_LOG_INFO, keep_message, &n };
    char wide[3000];
    (void)state;
    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = 0;
    weft__log_write(&log, WEFT_LOG_DEBUG, "no");
    assert_int_equal(n, 0);
    weft__log_write(&log, WEFT_LOG_WARN, "%s", wide);
    assert_int_equal(n, sizeof wide - 1);
    weft__log_write(NULL, WEFT_LOG_WARN, "nobody");
}

static void reads_settings(void **state)
{
    weft_setting_info info;
    int seen = 0;
    (void)state;
    setenv("WEFT_CACHE_DIR", "/a", 1);
    assert_string_equal(weft__setting("cache_dir"), "/a");
    assert_string_equal(weft__setting("WEFT_CACHE_DIR"), "/a");
    unsetenv("WEFT_CACHE_DIR");
    setenv("XDG_CACHE_HOME", "/x", 1);
    assert_string_equal(weft__setting("cache_dir"), "/x/weft");
    setenv("XDG_CACHE_HOME", "relative", 1);
    setenv("HOME", "/h", 1);
    assert_string_equal(weft__setting("cache_dir"), "/h/.cache/weft");
    unsetenv("COLUMNS");
    assert_string_equal(weft__setting("columns"), "80");
    setenv("WEFT_PLUGIN_PATH", "", 1);
    assert_null(weft__setting("plugin_path"));
    assert_null(weft__setting("no_such_setting"));
    assert_null(weft__setting(NULL));
    for (uint32_t i = 0; i < weft_n_settings(); i++) {
        assert_int_equal(weft_setting(i, &info), WEFT_OK);
        assert_true(strlen(info.doc) > 5);
        seen += !strcmp(info.variable, "WEFT_CACHE_DIR") && !strcmp(info.value, "/h/.cache/weft");
    }
    assert_int_equal(seen, 1);
    assert_int_equal(weft_setting(weft_n_settings(), &info), WEFT_E_ARG);
}

static void suggests(void **state)
{
    weft__suggest near = { "Dens", NULL, 0 }, far = { "Conv2D", NULL, 0 };
    (void)state;
    assert_int_equal(weft__distance("kitten", "sitting"), 3);
    assert_int_equal(weft__distance("", "abc"), 3);
    assert_int_equal(weft__distance("ab", "ba"), 1);
    assert_int_equal(weft__distance("Relu", "ReLU"), 0);
    weft__suggest_try(&near, "Dropout");
    weft__suggest_try(&near, "Dense");
    weft__suggest_try(&near, "Tense");
    assert_string_equal(near.best, "Dense");
    weft__suggest_try(&far, "Embedding");
    assert_null(far.best);
}

static void names_things(void **state)
{
    (void)state;
    assert_string_equal(weft_status_name(WEFT_OK), "ok");
    for (weft_status st = WEFT_OK; st <= WEFT_E_INTERNAL; st++)
        assert_string_not_equal(weft_status_name(st), "unknown");
    assert_string_equal(weft_status_name(-1), "unknown");
    assert_string_equal(weft_status_name(WEFT_E_INTERNAL + 1), "unknown");
    assert_string_equal(weft_dtype_name(WEFT_BF16), "bfloat16");
    assert_int_equal(weft_dtype_size(WEFT_I64), 8);
    assert_int_equal(weft_dtype_size(0), 0);
    assert_int_equal(weft_dtype_size(99), 0);
}

static void allocates(void **state)
{
    size_t cap = 0, live = weft__alloc_live();
    int *numbers = NULL;
    (void)state;
    for (size_t n = 0; n < 100; n++) {
        assert_int_equal(weft__grow(&numbers, n, &cap, sizeof *numbers), WEFT_OK);
        numbers[n] = (int)n;
    }
    assert_int_equal(numbers[99], 99);
    weft__free(numbers);
    assert_null(weft__alloc_n(SIZE_MAX / 2, 3));
    assert_non_null(strstr(weft_error(), "out of memory"));
    char *memory = weft__alloc(0);
    assert_non_null(memory);
    weft__free(memory);
    weft__alloc_fail_at(2);
    memory = weft__strdup("abc");
    assert_non_null(memory);
    assert_null(weft__realloc(memory, 100));
    assert_string_equal(memory, "abc");
    weft__free(memory);
    assert_int_equal(weft__alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_doubles),
        cmocka_unit_test(doubles_survive),
        cmocka_unit_test(ignores_the_locale),
        cmocka_unit_test(grows),
        cmocka_unit_test(prints_shapes),
        cmocka_unit_test(shows_any_shape),
        cmocka_unit_test(records_failures),
        cmocka_unit_test(says_where),
        cmocka_unit_test(logs),
        cmocka_unit_test(reads_settings),
        cmocka_unit_test(suggests),
        cmocka_unit_test(names_things),
        cmocka_unit_test(allocates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
