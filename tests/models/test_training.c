/* Training against Keras: from the same weights, with the same batches, twenty steps leave the same
 * losses and the same weights on every device. The fixtures of tests/data/training come from
 * tests/data/generate_training.py, which lays them out; Keras computed them in float32 and, from
 * the same weights, in float64.
 *
 * The truth is Keras in float64. In float64 mode Weft must give the same to float32's last bit, in
 * which weights are kept and read; but Keras's Adam rounds beta_2 to float32 in beta_2^t also in
 * float64, which changes the step by 6.5e-6 of itself (1.3e-8 / (1 - 0.999), halved by the root),
 * and training on takes that further. In float32 both round, in different orders: Weft may be as
 * far away as TIMES what Keras itself is, and never has to be nearer than steps * eps. TIMES is no
 * derived number but a choice: Keras's distance is one draw of the roundings, and another order of
 * them is another draw, by the largest of many weights; 8 is below what any mistake in a formula
 * makes. For Adam in float64 it stands for what a step may be of the rate, up to (1 - beta_1) /
 * sqrt(1 - beta_2) = 3.2 (Kingma and Ba, 2015, section 2.1), and for what the changed weights do to
 * later steps; 4 times more for the losses, which add what several weights change.
 * Distances are relative above 1. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "fixture.h"
#include "near.h"

static const double EPS = 0x1p-23;
enum { TIMES = 8, MOST = 8 };

static weft_context *ctx;
static devices all;

static int setup(void **state)
{
    (void)state;
    if (weft_context_create("plugin_path=\"" WEFT_TEST_PLUGINS "\"", &ctx)) return -1;
    devices_list(ctx, &all);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    weft_context_destroy(&ctx);
    return 0;
}

typedef struct run { /* a line of training.txt */
    char program[64], name[64], attrs[256];
    int steps, batch;
    double weights, losses; /* how far Keras's float32 is from its float64 */
} run;

static int read_run(FILE *file, run *r)
{
    char line[640];
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#') continue;
        int n = sscanf(line, "%63[^\t]\t%63[^\t]\t%d\t%d\t%255[^\t]\t%lf\t%lf", r->program, r->name,
                       &r->steps, &r->batch, r->attrs, &r->weights, &r->losses);
        if (n != 7) fail_msg("training.txt: %s", line);
        return 1;
    }
    return 0;
}

static weft_npz *arrays(const char *program, const char *name)
{
    char path[512];
    weft_npz *npz = NULL;
    snprintf(path, sizeof path, "%s/training/%s%s%s.npz", WEFT_TEST_DATA, program, *name ? "." : "",
             name);
    if (weft_npz_read(path, &npz)) fail_msg("%s", weft_error());
    return npz;
}

static const weft_array *array(const weft_npz *npz, const char *kind, const char *name)
{
    char key[256];
    snprintf(key, sizeof key, "%s.%s", kind, name);
    const weft_array *a = weft_npz_get(npz, key);
    if (!a) fail_msg("there is no array %s", key);
    return a;
}

static double at(const weft_array *a, uint64_t i)
{
    return a->spec.dtype == WEFT_F64 ? ((const double *)a->data)[i]
                                     : (double)((const float *)a->data)[i];
}

/* ---- batches ---- */

typedef struct feed {
    const weft_array *x[MOST], *y[MOST];
    uint32_t n_x, n_y;
} feed;

static weft_array rows(const weft_array *whole, int64_t first, int64_t n)
{
    weft_array part = *whole;
    uint64_t row = weft_array_bytes(whole) / (uint64_t)whole->spec.dim[0];
    part.spec.dim[0] = n;
    part.data = (char *)whole->data + row * (uint64_t)first;
    return part;
}

static void train(weft_session *s, const feed *f, int64_t first, int64_t n, weft_logs *logs)
{
    weft_array part[2 * MOST];
    const weft_array *x[MOST], *y[MOST];
    for (uint32_t i = 0; i < f->n_x; i++) {
        part[i] = rows(f->x[i], first, n);
        x[i] = &part[i];
    }
    for (uint32_t i = 0; i < f->n_y; i++) {
        part[MOST + i] = rows(f->y[i], first, n);
        y[i] = &part[MOST + i];
    }
    if (weft_session_train_step(s, &(weft_data){ x, y, f->n_x, f->n_y }, logs))
        fail_msg("%s", weft_error());
}

static feed feed_of(const weft_model *m, const weft_npz *npz)
{
    feed f = { .n_x = weft_model_n_inputs(m), .n_y = weft_model_n_outputs(m) };
    const char *name;
    assert_true(f.n_x <= MOST && f.n_y <= MOST);
    for (uint32_t i = 0; i < f.n_x; i++) {
        assert_int_equal(weft_model_input(m, i, &name, NULL), WEFT_OK);
        f.x[i] = array(npz, "x", name);
    }
    for (uint32_t i = 0; i < f.n_y; i++) {
        assert_int_equal(weft_model_output(m, i, &name, NULL), WEFT_OK);
        f.y[i] = array(npz, "y", name);
    }
    return f;
}

/* ---- comparing ---- */

typedef struct distance {
    double weights, losses;
} distance;

/* The larger of two distances; one that is not a number is the largest (fmax would drop it). */
static double farther(double worst, double off)
{
    return off <= worst ? worst : isnan(off) ? (double)INFINITY : off;
}

static double log_value(const weft_logs *logs, const char *name)
{
    for (uint32_t i = 0; i < logs->n; i++)
        if (!strcmp(logs->name[i], name)) return logs->value[i];
    fail_msg("there is no log %s", name);
    return 0;
}

/* The largest distance of this step's logs from Keras's in float64. Accuracies are exact. */
static void compare_logs(const weft_npz *truth, const weft_logs *logs, int step, distance *d)
{
    for (uint32_t i = 0; i < truth->n; i++) {
        const char *name = truth->name[i];
        if (strncmp(name, "log64.", 6) != 0) continue;
        double want = at(truth->array[i], (uint64_t)step);
        double off = fabs(log_value(logs, name + 6) - want) / fmax(1, fabs(want));
        if (strstr(name, "accuracy"))
            assert_near(off, 0, 1e-6);
        else
            d->losses = farther(d->losses, off);
    }
}

static void compare_weights(const weft_model *m, const weft_npz *truth, distance *d)
{
    for (uint32_t i = 0; i < weft_model_n_variables(m); i++) {
        const char *name;
        weft_spec spec;
        weft_array *have = NULL;
        assert_int_equal(weft_model_variable(m, i, &name, &spec, NULL), WEFT_OK);
        assert_int_equal(weft_array_create(&spec, &have), WEFT_OK);
        if (weft_model_get_variable(m, i, have)) fail_msg("%s", weft_error());
        const weft_array *want = array(truth, "w64", name);
        assert_int_equal(weft_array_count(have), weft_array_count(want));
        for (uint64_t k = 0; k < weft_array_count(have); k++)
            d->weights =
                farther(d->weights, fabs(at(have, k) - at(want, k)) / fmax(1, fabs(at(want, k))));
        weft_array_destroy(&have);
    }
}

static distance train_all(const run *r, const char *device, const char *options)
{
    char path[512];
    weft_model *m = NULL;
    weft_session *s = NULL;
    weft_npz *samples = arrays(r->program, ""), *truth = arrays(r->program, r->name);
    weft_logs logs;
    distance d = { 0, 0 };
    snprintf(path, sizeof path, "%s/training/%s.keras", WEFT_TEST_DATA, r->program);
    if (weft_model_load(ctx, path, &m)) fail_msg("%s", weft_error());
    if (weft_session_create(m, device, options, &s)) fail_msg("%s", weft_error());
    if (weft_session_compile(s, r->attrs)) fail_msg("%s %s: %s", r->program, r->name, weft_error());
    feed f = feed_of(m, samples);
    int64_t n = f.x[0]->spec.dim[0], batches = (n + r->batch - 1) / r->batch;
    for (int step = 0; step < r->steps; step++) {
        int64_t first = step % batches * r->batch;
        train(s, &f, first, n - first < r->batch ? n - first : r->batch, &logs);
        compare_logs(truth, &logs, step, &d);
    }
    compare_weights(m, truth, &d);
    weft_session_destroy(&s);
    weft_model_destroy(&m);
    weft_npz_destroy(&samples);
    weft_npz_destroy(&truth);
    return d;
}

static void judge(const run *r, const char *device, distance d, double weights, double losses)
{
    printf("%-20s %-14s %-9s weights off by %.2g (bound %.2g, Keras %.2g), losses %.2g (%.2g)\n",
           r->program, r->name, device, d.weights, weights, r->weights, d.losses, losses);
    if (!(d.weights <= weights) || !(d.losses <= losses))
        fail_msg("%s %s on %s: too far from Keras", r->program, r->name, device);
}

/* Adam's learning rate; 0 for another optimizer. */
static double adam_rate(const run *r)
{
    const char *rate = strstr(r->attrs, "learning_rate=");
    if (!strstr(r->attrs, "Adam")) return 0;
    return rate ? strtod(rate + strlen("learning_rate="), NULL) : 0.001;
}

static void check_run(const run *r)
{
    double floor = r->steps * EPS, weights = TIMES * fmax(r->weights, floor),
           losses = TIMES * fmax(r->losses, floor), beta = adam_rate(r) * r->steps * 6.5e-6;
    distance d = train_all(r, "cpu", "dtype=float64");
    judge(r, "float64", d, 2 * EPS + TIMES * beta, 2 * EPS + 4 * TIMES * beta);
    for (size_t i = 0; *all.id[i]; i++) {
        d = train_all(r, all.id[i], "strict=true");
        judge(r, all.id[i], d, weights, losses);
    }
}

static void test_twenty_steps_are_keras(void **state)
{
    FILE *file = fopen(WEFT_TEST_DATA "/training/training.txt", "r");
    run r;
    int n = 0;
    (void)state;
    assert_non_null(file);
    for (; read_run(file, &r); n++)
        check_run(&r);
    fclose(file);
    assert_true(n >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_twenty_steps_are_keras) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
