/* Attribute text: what it reads, what it prints, what it says about mistakes, and that nothing
 * breaks it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <weft/status.h>
#include "base/alloc.h"
#include "base/attrs.h"

static const weft_attr schema[] = {
    { "units", WEFT_INT, 0, NULL, "1..", "how many" },
    { "rate", WEFT_FLOAT, 0, "0.5", "0..1", "how much" },
    { "padding", WEFT_STRING, 0, "valid", "same|valid|causal", "of the edges" },
    { "bias", WEFT_FLAG, 0, "true", NULL, "is there one" },
    { "size", WEFT_INTS, 0, "(2,2)", "1..", "of the window" },
    { "scales", WEFT_FLOATS, WEFT_NULLABLE, "none", NULL, "factors" },
    { "names", WEFT_STRINGS, 0, "", NULL, "words" },
    { "activation", WEFT_LAYER_CONFIG, WEFT_NULLABLE, "none", NULL, "applied behind" },
    { "title", WEFT_STRING, 0, "", NULL, "free text" },
    { 0 },
};

static void assert_prints(const char *text, const char *wanted)
{
    weft__attrs *attrs = NULL;
    weft__text printed = { 0 };
    if (weft__attrs_parse(text, &attrs)) fail_msg("%s: %s", text, weft_error());
    weft__attrs_print(&printed, attrs, NULL);
    assert_string_equal(printed.s, wanted);
    weft__text_finish(&printed);
    weft__attrs_destroy(&attrs);
}

static void assert_unreadable(const char *text, const char *words)
{
    weft__attrs *attrs = NULL;
    assert_int_equal(weft__attrs_parse(text, &attrs), WEFT_E_ATTR);
    assert_null(attrs);
    if (!strstr(weft_error(), words))
        fail_msg("%s: \"%s\" lacks \"%s\"", text, weft_error(), words);
}

static void reads_and_prints(void **state)
{
    (void)state;
    assert_prints("", "");
    assert_prints(NULL, "");
    assert_prints("  a=1\n\tb=-2 ", "a=1 b=-2");
    assert_prints("a=+7 b=0x10 c=-0x1F", "a=7 b=16 c=-31");
    assert_prints("a=9223372036854775807 b=-9223372036854775808",
                  "a=9223372036854775807 b=-9223372036854775808");
    assert_prints("a=1.0 b=.5 c=1e-5 d=0x1.8p1 e=1.", "a=1.0 b=0.5 c=1e-05 d=3.0 e=1.0");
    assert_prints("a=inf b=-inf c=nan d=+inf", "a=inf b=-inf c=nan d=inf");
    assert_prints("a=true b=false c=none", "a=true b=false c=none");
    assert_prints("a=same b=org.example.X_1", "a=same b=org.example.X_1");
    assert_prints("a=\"same\" b=\"true\" c=\"x y\" d=\"\"", "a=same b=\"true\" c=\"x y\" d=\"\"");
    assert_prints("a=\"q\\\"\\\\ \\n\\t\\r\"", "a=\"q\\\"\\\\ \\n\\t\\r\"");
    assert_prints("a=\"two\nlines \xc3\xa4\"", "a=\"two\\nlines \xc3\xa4\"");
    assert_prints("a=() b=(1,2) c=( 1 , (2,x) , )", "a=() b=(1,2) c=(1,(2,x))");
    assert_prints("size=2,2 rate=0.5,1 x=a,b", "size=(2,2) rate=(0.5,1) x=(a,b)");
    assert_prints("a=LSTM(units=3 size=2,2 inner=X(y=(1))) b=relu()",
                  "a=LSTM(units=3 size=(2,2) inner=X(y=(1))) b=relu");
    assert_prints("a=none(x=1) b=true()", "a=none(x=1) b=true()");
}

static void explains_mistakes(void **state)
{
    (void)state;
    assert_unreadable("a", "expected = right after the name: \"a<here>\"");
    assert_unreadable("a =1", "expected =");
    assert_unreadable("a= 1", "expected a value");
    assert_unreadable("=1", "expected name=value");
    assert_unreadable("a=1 a=2", "given twice: \"a=1 <here>a=2\"");
    assert_unreadable("a=1b", "this is no number");
    assert_unreadable("a=1.2.3", "this is no number");
    assert_unreadable("a=-", "this is no number");
    assert_unreadable("a=9223372036854775808", "does not fit 64 bits");
    assert_unreadable("a=1e999", "too large");
    assert_unreadable("a=\"x", "no closing quote");
    assert_unreadable("a=\"\\q\"", "after a backslash");
    assert_unreadable("a=\"\\", "after a backslash");
    assert_unreadable("a=(1,2", "no closing )");
    assert_unreadable("a=(1 2)", "expected , or )");
    assert_unreadable("a=X(b=1", "no closing )");
    assert_unreadable("a=(1)(2)", "expected a space");
    assert_unreadable("a=1)", "expected a space");
    assert_unreadable("a=(1))", "expected a space");
    assert_unreadable("a=1,", "expected a value");
    assert_unreadable("a=\xff", "column 3: expected a value");
    char deep[80] = "a=";
    memset(deep + 2, '(', 40);
    assert_unreadable(deep, "nested more than 32 deep");
}

static weft_status check(const char *text, weft__attrs **full)
{
    weft__attrs *attrs = NULL;
    assert_int_equal(weft__attrs_parse(text, &attrs), WEFT_OK);
    weft_status st = weft__attrs_check(attrs, schema, "layer class Dense", full);
    weft__attrs_destroy(&attrs);
    return st;
}

static void assert_invalid(const char *text, const char *words)
{
    weft__attrs *full = NULL;
    assert_int_equal(check(text, &full), WEFT_E_ATTR);
    assert_null(full);
    if (!strstr(weft_error(), words))
        fail_msg("%s: \"%s\" lacks \"%s\"", text, weft_error(), words);
}

static void fills_defaults(void **state)
{
    weft__attrs *full = NULL;
    int64_t sizes[2];
    double scales[4];
    (void)state;
    assert_int_equal(check("units=3", &full), WEFT_OK);
    assert_int_equal(full->n, 9);
    assert_int_equal(weft__attrs_i(full, "units"), 3);
    assert_true(weft__attrs_f(full, "rate") == 0.5);
    assert_string_equal(weft__attrs_s(full, "padding"), "valid");
    assert_int_equal(weft__attrs_i(full, "bias"), 1);
    assert_int_equal(weft__attrs_v(full, "size", sizes, 2), 2);
    assert_int_equal(sizes[1], 2);
    assert_int_equal(weft__attrs_fv(full, "scales", scales, 4), 0);
    assert_int_equal(weft__attrs_v(full, "names", NULL, 0), 0);
    assert_null(weft__attrs_s(full, "activation"));
    assert_string_equal(weft__attrs_s(full, "title"), "");
    assert_null(weft__attrs_get(full, "unit"));
    weft__text text = { 0 };
    weft__attrs_print(&text, full, schema);
    assert_string_equal(text.s, "units=3");
    weft__text_finish(&text);
    weft__attrs_destroy(&full);
}

static void converts(void **state)
{
    weft__attrs *full = NULL;
    double scales[4];
    (void)state;
    const char *text = "units=3 rate=1 size=7 scales=((1,2),(3.5)) names=a activation=\"relu\" "
                       "padding=\"same\" title=hello";
    assert_int_equal(check(text, &full), WEFT_OK);
    assert_int_equal(weft__attrs_get(full, "rate")->kind, WEFT__FLOAT);
    assert_int_equal(weft__attrs_get(full, "size")->n_items, 1);
    assert_int_equal(weft__attrs_fv(full, "scales", scales, 4), 3);
    assert_true(scales[0] == 1 && scales[2] == 3.5);
    assert_int_equal(weft__attrs_get(full, "activation")->kind, WEFT__CALL);
    weft__text printed = { 0 };
    weft__attrs_print(&printed, full, schema);
    assert_string_equal(printed.s,
                        "units=3 rate=1.0 padding=same size=(7) scales=(1.0,2.0,3.5) names=(a) "
                        "activation=relu title=hello");
    weft__text_finish(&printed);
    weft__attrs_destroy(&full);
}

static void asks_for_quotes(void **state)
{
    (void)state;
    assert_unreadable("expr=sin(a)", "operators needs quotes: expr=\"sin(a)\"");
    assert_unreadable("x=1 expr=a+b y=2", "operators needs quotes: expr=\"a+b\"");
    assert_unreadable("expr=max(a,0)", "needs quotes: expr=\"max(a,0)\"");
    assert_unreadable("b=2*a", "needs quotes: b=\"2*a\"");
    assert_unreadable("a=1;b=2", "expected a space before the next attribute");
    assert_unreadable("layer=Dense(3)", "needs quotes: layer=\"Dense(3)\"");
}

static void explains_what_does_not_fit(void **state)
{
    (void)state;
    assert_invalid(
        "units=abc",
        "layer class Dense: in \"units=abc\": units must be an integer, not the word abc");
    assert_invalid("units=0", "units must be at least 1, not the integer 0");
    assert_invalid("units=3.0", "units must be an integer, not the number 3.0");
    assert_invalid("units=none", "units must be an integer, not none");
    assert_invalid("units=1 rate=1.5", "rate must be from 0 to 1, not the number 1.5");
    assert_invalid("units=1 rate=nan", "rate must be from 0 to 1");
    assert_invalid("units=1 padding=full",
                   "padding must be same, valid or causal, not the word full");
    assert_invalid("units=1 bias=1", "bias must be true or false");
    assert_invalid("units=1 size=(1,0)", "size must be all at least 1, not the list (1,0)");
    assert_invalid("units=1 size=(1,x)", "size must be a list of integers");
    assert_invalid("units=1 scales=x", "a list of numbers, (0.5,1), or none");
    assert_invalid("units=1 activation=3", "activation must be a layer");
    assert_invalid("units=1 activation=\"a b\"", "activation must be a layer");
    assert_invalid("", "the attribute \"units\" is missing: give units=, an integer (how many)");
    assert_invalid("unit=1", "did you mean \"units\"? It knows units, rate, padding");
    weft__attrs *attrs = NULL, *full = NULL;
    assert_int_equal(weft__attrs_parse("a=1", &attrs), WEFT_OK);
    assert_int_equal(weft__attrs_check(attrs, NULL, "op x", &full), WEFT_E_ATTR);
    assert_string_equal(weft_error(), "op x has no attribute \"a\": it takes none");
    weft__attrs_destroy(&attrs);
}

static void checks_schemas(void **state)
{
    weft_attr bad[3] = { { "size", WEFT_INT, 0, "0", "1..", "" }, { 0 }, { 0 } };
    (void)state;
    assert_int_equal(weft__schema_check(schema, "x"), WEFT_OK);
    assert_int_equal(weft__schema_check(NULL, "x"), WEFT_OK);
    assert_int_equal(weft__schema_check(bad, "op x"), WEFT_E_ATTR);
    assert_non_null(strstr(weft_error(), "default of \"size\""));
    bad[0].def = "(((";
    assert_int_equal(weft__schema_check(bad, "op x"), WEFT_E_ATTR);
    bad[0].def = NULL;
    assert_int_equal(weft__schema_check(bad, "op x"), WEFT_OK);
    bad[0].type = 99;
    assert_int_equal(weft__schema_check(bad, "op x"), WEFT_E_ABI);
    bad[0].type = WEFT_INT;
    bad[1] = bad[0];
    assert_int_equal(weft__schema_check(bad, "op x"), WEFT_E_ATTR);
}

static void takes_and_copies(void **state)
{
    weft__attrs *attrs = NULL, *copy = NULL;
    weft__value value;
    (void)state;
    assert_int_equal(weft__attrs_parse("a=1 name=\"x y\" b=X(c=(1,2))", &attrs), WEFT_OK);
    assert_int_equal(weft__attrs_copy(attrs, &copy), WEFT_OK);
    assert_true(weft__value_equal(weft__attrs_get(attrs, "b"), weft__attrs_get(copy, "b")));
    assert_true(weft__attrs_take(attrs, "name", &value));
    assert_string_equal(value.s, "x y");
    assert_false(weft__attrs_take(attrs, "name", &(weft__value){ 0 }));
    assert_int_equal(attrs->n, 2);
    assert_non_null(weft__attrs_get(attrs, "b"));
    weft__value_finish(&value);
    weft__attrs_destroy(&attrs);
    assert_string_equal(weft__attrs_s(copy, "name"), "x y");
    weft__attrs_destroy(&copy);
}

/* Whatever is read prints as something that reads as the same. */
static void round_trip(const char *text)
{
    weft__attrs *first = NULL, *second = NULL;
    weft__text once = { 0 }, twice = { 0 };
    if (weft__attrs_parse(text, &first)) {
        assert_non_null(strstr(weft_error(), "attribute text, column"));
        return;
    }
    weft__attrs_print(&once, first, NULL);
    if (weft__attrs_parse(once.s, &second)) fail_msg("%s: %s", once.s, weft_error());
    assert_int_equal(first->n, second->n);
    for (size_t i = 0; i < first->n; i++)
        if (!weft__value_equal(&first->attr[i].value, &second->attr[i].value))
            fail_msg("%s -> %s", text, once.s);
    weft__attrs_print(&twice, second, NULL);
    assert_string_equal(once.s, twice.s);
    weft__text_finish(&once);
    weft__text_finish(&twice);
    weft__attrs_destroy(&first);
    weft__attrs_destroy(&second);
}

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void survives_random_text(void **state)
{
    static const char *const pieces[] = { "a=",   "b=", "c=",   "units=", "(",   ")",   ",",
                                          " ",    "\"", "\\",   "1",      "-",   "+",   ".",
                                          "0x",   "e5", "true", "none",   "inf", "nan", "X(",
                                          "word", "=",  "1.5",  "\n",     "\x80" };
    uint64_t seed = 7;
    char text[256];
    size_t before = weft__alloc_live();
    (void)state;
    for (int i = 0; i < 50000; i++) {
        size_t n = 0, count = next(&seed) % 24;
        for (size_t k = 0; k < count; k++) {
            const char *piece = pieces[next(&seed) % (sizeof pieces / sizeof *pieces)];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        text[n] = 0;
        round_trip(text);
    }
    assert_int_equal(weft__alloc_live(), before);
}

static void survives_failing_allocations(void **state)
{
    const char *text =
        "units=3 size=(1,2,3) title=\"a b c\" activation=LeakyReLU(slope=0.1 x=(a,b)) names=(x,y)";
    size_t before = weft__alloc_live();
    weft_status st = WEFT_E_NOMEM;
    uint64_t n = 0;
    (void)state;
    while (st && n < 1000) {
        weft__attrs *attrs = NULL, *full = NULL, *copy = NULL;
        weft__text printed = { 0 };
        weft__alloc_fail_at(++n);
        st = weft__attrs_parse(text, &attrs);
        if (!st) st = weft__attrs_check(attrs, schema, "layer", &full);
        if (!st) st = weft__attrs_copy(full, &copy);
        if (!st) weft__attrs_print(&printed, copy, NULL);
        if (printed.failed) st = WEFT_E_NOMEM;
        weft__alloc_fail_at(0);
        if (st) assert_int_equal(st, WEFT_E_NOMEM);
        weft__text_finish(&printed);
        weft__attrs_destroy(&copy);
        weft__attrs_destroy(&full);
        weft__attrs_destroy(&attrs);
        assert_int_equal(weft__alloc_live(), before);
    }
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_prints),     cmocka_unit_test(explains_mistakes),
        cmocka_unit_test(fills_defaults),       cmocka_unit_test(converts),
        cmocka_unit_test(asks_for_quotes),      cmocka_unit_test(explains_what_does_not_fit),
        cmocka_unit_test(checks_schemas),       cmocka_unit_test(takes_and_copies),
        cmocka_unit_test(survives_random_text), cmocka_unit_test(survives_failing_allocations),
    };
    setlocale(LC_ALL, "");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
