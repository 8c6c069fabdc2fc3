/* The n-th allocation of the library fails (WEFT_FAIL_ALLOC=n), for n all through a run of the
 * command line: it ends with exit code 0, or 1 and a text, and never by a signal. Under
 * AddressSanitizer a leak is another exit code, and fails. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fixture.h"

static char folder[] = "/tmp/weft_alloc_XXXXXX";

typedef struct arguments {
    char text[2048];
    size_t n;
} arguments;

/* " -i name=file" for an array, which becomes an .npy file in the folder. */
static void write_array(arguments *a, const char *option, const char *name, const weft_array *array)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%zu.npy", folder, a->n);
    assert_int_equal(weft_npy_write(path, array), WEFT_OK);
    a->n +=
        (size_t)snprintf(a->text + a->n, sizeof a->text - a->n, " %s %s=%s", option, name, path);
}

/* The inputs of a fixture, and as targets its outputs, if their option is not NULL. */
static void write_arrays(const char *fixture_name, const char *input, const char *target,
                         arguments *a)
{
    weft_context *ctx = NULL;
    const char *name;
    fixture f;

    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    if (fixture_load(ctx, "models", fixture_name, &f))
        fail_msg("%s: %s", fixture_name, weft_error());
    for (uint32_t i = 0; i < f.n_in; i++) {
        assert_int_equal(weft_model_input(f.model, i, &name, NULL), WEFT_OK);
        write_array(a, input, name, f.in[i]);
    }
    for (uint32_t i = 0; i < f.n_out && target; i++) {
        assert_int_equal(weft_model_output(f.model, i, &name, NULL), WEFT_OK);
        write_array(a, target, name, f.out[i]);
    }
    fixture_finish(&f);
    weft_context_destroy(&ctx);
}

typedef struct outcome {
    int code;
    char text[4096];
} outcome;

static void run(const char *command, unsigned long n, outcome *o)
{
    char line[4096];
    FILE *pipe;
    size_t length;
    int status;

    snprintf(line, sizeof line, "exec env WEFT_FAIL_ALLOC=%lu %s 2>&1", n, command);
    pipe = popen(line, "r");
    assert_non_null(pipe);
    length = fread(o->text, 1, sizeof o->text - 1, pipe);
    o->text[length] = 0;
    status = pclose(pipe);
    o->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Every allocation of the first ones, later one in `sparse`, until three runs in a row succeed far
 * beyond the last failure. Returns how many runs failed. */
static unsigned sweep(const char *command, unsigned long dense, unsigned long sparse)
{
    unsigned failed = 0, quiet = 0;
    outcome o;

    for (unsigned long n = 1; quiet < 40 && n < 1000000; n += n < dense ? 1 : 1 + n / sparse) {
        run(command, n, &o);
        if (o.code != 0 && o.code != 1)
            fail_msg("allocation %lu: exit code %d\n%s\n%s", n, o.code, command, o.text);
        if (o.code == 1 && !holds_words(o.text, "weft"))
            fail_msg("allocation %lu fails in silence: %s", n, o.text);
        failed += o.code == 1;
        quiet = o.code ? 0 : quiet + 1;
    }
    run(command, 0, &o);
    if (o.code) fail_msg("%s\n%s", command, o.text);
    return failed;
}

static void predict(const char *device, const char *settings)
{
    arguments files = { .n = 0 };
    char command[3072];
    unsigned failed;

    write_arrays("P05_a", "-i", NULL, &files);
    snprintf(command, sizeof command, "%s %s predict %s/models/P05_a.keras%s -o %s/y.npz -d %s",
             settings, WEFT_TEST_PROGRAM, WEFT_TEST_DATA, files.text, folder, device);
    failed = sweep(command, 60, 60);
    printf("%s: %u runs failed with a text\n", device, failed);
    assert_true(failed > 20);
}

static void test_cpu(void **state)
{
    (void)state;
    predict("cpu", "WEFT_DISABLE=opencl");
}

static void test_fit(void **state)
{
    arguments files = { .n = 0 };
    char command[3072];
    unsigned failed;

    (void)state;
    write_arrays("P05_a", "-x", "-y", &files);
    snprintf(command, sizeof command,
             "WEFT_DISABLE=opencl %s fit %s/models/P05_a.keras%s -d cpu --loss mse --metrics mae "
             "--batch 2 --epochs 2 --validation-split 0.3",
             WEFT_TEST_PROGRAM, WEFT_TEST_DATA, files.text);
    failed = sweep(command, 60, 60);
    printf("fit: %u runs failed with a text\n", failed);
    assert_true(failed > 20);
}

/* On an OpenCL device, where the machine has one. */
static void test_opencl(void **state)
{
    weft_context *ctx = NULL;
    devices d;
    int there = 0;

    (void)state;
    assert_int_equal(weft_context_create(NULL, &ctx), WEFT_OK);
    devices_list(ctx, &d);
    for (size_t i = 0; *d.id[i]; i++)
        there |= !strcmp(d.id[i], "opencl:0");
    weft_context_destroy(&ctx);
    if (!there) skip();
    predict("opencl:0", "");
}

/* The reader of files asks the host for its memory, so each of its own failures has been seen. */
static void test_reader(void **state)
{
    static const char *const texts[] = { "bytes of config.json", "bytes of model.weights.h5",
                                         "attributes of layer",  "inputs of layer",
                                         "names of the groups",  "bytes of \"kernel\"" };
    enum { N = sizeof texts / sizeof *texts };
    int seen[N] = { 0 }, quiet = 0;
    outcome o;

    (void)state;
    for (unsigned long n = 1; quiet < 40 && n < 5000; n++) {
        run("WEFT_DISABLE=opencl " WEFT_TEST_PROGRAM " summary " WEFT_TEST_DATA
            "/models/P05_a.keras",
            n, &o);
        if (o.code != 0 && o.code != 1) fail_msg("allocation %lu: %d\n%s", n, o.code, o.text);
        for (size_t i = 0; i < N; i++)
            seen[i] |= o.code == 1 && holds_words(o.text, texts[i]);
        quiet = o.code ? 0 : quiet + 1;
    }
    for (size_t i = 0; i < N; i++)
        if (!seen[i]) fail_msg("no failed run told of \"%s\"", texts[i]);
}

/* A model read and written: a failure leaves no file behind. */
static void test_convert(void **state)
{
    char command[1024];
    unsigned failed;

    (void)state;
    snprintf(command, sizeof command,
             "WEFT_DISABLE=opencl %s convert %s/models/nested_twice.keras %s/out/m.keras",
             WEFT_TEST_PROGRAM, WEFT_TEST_DATA, folder);
    snprintf(command + 512, 512, "mkdir %s/out", folder);
    assert_int_equal(system(command + 512), 0);
    failed = sweep(command, 30, 30);
    printf("convert: %u runs failed with a text\n", failed);
    assert_true(failed > 20);
    snprintf(command, sizeof command, "test $(ls -A %s/out) = m.keras", folder);
    assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}
static int teardown(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_reader), cmocka_unit_test(test_cpu),
                                        cmocka_unit_test(test_fit), cmocka_unit_test(test_opencl),
                                        cmocka_unit_test(test_convert) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
