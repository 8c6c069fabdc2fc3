/* The demo: handwritten digits, told apart by a network with two inputs (the picture, and a table
 * of numbers made from it) that Keras trained. Runs it on every device and compares the results
 * with Keras's own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <weft/weft.h>

#define REPEATS 9
#define MAX_DEVICES 16

typedef struct demo {
    weft_context *ctx;
    weft_model *model;
    weft_array *x[2], *labels, *keras;
    weft_array *y[MAX_DEVICES]; /* results, one a device */
    uint32_t n;
    int wrong;
} demo;

static double seconds(void)
{
    struct timespec t;

    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static weft_status read_array(const char *folder, const char *file, weft_array **array)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", folder, file);
    return weft_npy_read(path, array);
}

static weft_status load(demo *d, const char *folder)
{
    char path[1024];
    weft_status st;
    const char *name;

    if ((st = weft_context_create(NULL, &d->ctx))) return st;
    snprintf(path, sizeof path, "%s/digits.keras", folder);
    if ((st = weft_model_load(d->ctx, path, &d->model))) return st;
    for (uint32_t i = 0; i < 2; i++) {
        char file[128];

        if ((st = weft_model_input(d->model, i, &name, NULL))) return st;
        snprintf(file, sizeof file, "%s.npy", name);
        if ((st = read_array(folder, file, &d->x[i]))) return st;
    }
    if ((st = read_array(folder, "labels.npy", &d->labels))) return st;
    return read_array(folder, "keras.npy", &d->keras);
}

/* Share of rows whose largest element is at the label. */
static double accuracy(const weft_array *y, const weft_array *labels)
{
    const float *p = y->data;
    const int64_t *label = labels->data;
    int64_t right = 0, n = y->spec.dim[0], classes = y->spec.dim[1];

    for (int64_t i = 0; i < n; i++) {
        int64_t best = 0;

        for (int64_t k = 1; k < classes; k++)
            if (p[i * classes + k] > p[i * classes + best]) best = k;
        right += best == label[i];
    }
    return (double)right / (double)n;
}

static double largest_difference(const weft_array *a, const weft_array *b)
{
    const float *p = a->data, *q = b->data;
    double worst = 0;

    for (uint64_t i = 0; i < weft_array_count(a); i++) {
        double d = fabs((double)p[i] - q[i]);

        if (!(d <= worst)) worst = d; /* a NaN wins */
    }
    return worst;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Predicts the whole test set REPEATS times; the result of the last, and the median time. */
static weft_status predict(demo *d, const char *id, weft_array **y, double *median)
{
    weft_session *s = NULL;
    double time[REPEATS];
    weft_status st = weft_session_create(d->model, id, "strict=true", &s);

    for (int i = -1; !st && i < REPEATS; i++) { /* the first compiles and is not counted */
        double start = seconds();

        st = weft_session_run(s, (const weft_array *const *)d->x, 2, y, 1);
        if (i >= 0) time[i] = seconds() - start;
    }
    weft_session_destroy(&s);
    if (st) return st;
    qsort(time, REPEATS, sizeof *time, compare_doubles);
    *median = time[REPEATS / 2];
    return WEFT_OK;
}

static void try_device(demo *d, const char *id, const weft_dev_info *info)
{
    double ms, difference, between = 0, right;

    printf("%-10s %s\n", id, info->name);
    if (!info->usable) {
        printf("           not usable: %s\n", info->why);
        return;
    }
    if (d->n == MAX_DEVICES) return;
    if (predict(d, id, &d->y[d->n], &ms)) {
        printf("           FAILED: %s\n", weft_error());
        d->wrong = 1;
        return;
    }
    right = accuracy(d->y[d->n], d->labels);
    difference = largest_difference(d->y[d->n], d->keras);
    for (uint32_t i = 0; i < d->n; i++)
        between = fmax(between, largest_difference(d->y[d->n], d->y[i]));
    printf("           accuracy %.2f %% on %lld pictures, %.3f ms for all of them (median of %d)\n",
           100 * right, (long long)d->keras->spec.dim[0], 1e3 * ms, REPEATS);
    printf("           largest difference from Keras %.2g", difference);
    if (d->n) printf(", from the devices above %.2g", between);
    printf("\n");
    if (!(difference <= 1e-5) || right != accuracy(d->keras, d->labels)) d->wrong = 1;
    d->n++;
}

int main(int argc, char **argv)
{
    demo d = { 0 };
    const char *folder = argc > 1 ? argv[1] : "examples/digits";

    if (argc > 2 || *folder == '-') {
        fprintf(argc > 2 ? stderr : stdout,
                "usage: weft_digits [FOLDER]\n\nPredicts the digits in FOLDER (examples/digits) on "
                "every device and compares with Keras.\n");
        return argc > 2 || (strcmp(folder, "--help") && strcmp(folder, "-h")) ? 2 : 0;
    }
    if (load(&d, folder)) {
        fprintf(stderr, "%s\n", weft_error());
        d.wrong = 1;
        goto out;
    }
    printf("%s: Keras's own accuracy on these labels is %.2f %%\n\n", folder,
           100 * accuracy(d.keras, d.labels));
    for (uint32_t i = 0; i < weft_context_n_devices(d.ctx); i++) {
        weft_dev_info info = { .struct_size = sizeof info };
        const char *id;

        if (!weft_context_device(d.ctx, i, &id, &info)) try_device(&d, id, &info);
    }
    for (uint32_t i = 0; i < weft_context_n_backends(d.ctx); i++) {
        const char *id, *why;
        uint32_t n;

        if (!weft_context_backend(d.ctx, i, &id, &n, &why) && !n)
            printf("%-10s no device: %s\n", id, why);
    }
    printf("\n%s\n", d.wrong || !d.n ? "NOT all devices agree with Keras (1e-5)"
                                     : "all devices agree with Keras (1e-5)");
out:
    for (uint32_t i = 0; i < MAX_DEVICES; i++)
        weft_array_destroy(&d.y[i]);
    for (uint32_t i = 0; i < 2; i++)
        weft_array_destroy(&d.x[i]);
    weft_array_destroy(&d.labels);
    weft_array_destroy(&d.keras);
    weft_model_destroy(&d.model);
    weft_context_destroy(&d.ctx);
    return d.wrong || !d.n;
}
