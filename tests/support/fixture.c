/* See fixture.h. */
#include <ctype.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fixture.h"

/* The array "out.<k>.*". */
static const weft_array *find_output(const weft_npz *npz, uint32_t k)
{
    char prefix[32];

    snprintf(prefix, sizeof prefix, "out.%u.", k);
    for (uint32_t i = 0; i < npz->n; i++)
        if (!strncmp(npz->name[i], prefix, strlen(prefix))) return npz->array[i];
    return NULL;
}

weft_status fixture_load(weft_context *ctx, const char *folder, const char *name, fixture *f)
{
    char path[1024], key[512];
    weft_status st;

    memset(f, 0, sizeof *f);
    snprintf(path, sizeof path, "%s/%s/%s.keras", WEFT_TEST_DATA, folder, name);
    if ((st = weft_model_load(ctx, path, &f->model))) return st;
    snprintf(path, sizeof path, "%s/%s/%s.npz", WEFT_TEST_DATA, folder, name);
    if ((st = weft_npz_read(path, &f->npz))) goto out;
    f->n_in = weft_model_n_inputs(f->model);
    f->n_out = weft_model_n_outputs(f->model);
    for (uint32_t i = 0; i < f->n_in && i < FIXTURE_MAX; i++) {
        const char *input = "";

        weft_model_input(f->model, i, &input, NULL);
        snprintf(key, sizeof key, "in.%s", input);
        if (!(f->in[i] = weft_npz_get(f->npz, key)) && f->n_in == 1)
            f->in[i] = weft_npz_get(f->npz, f->npz->name[0]);
        if (!f->in[i]) {
            printf("%s has no array %s\n", path, key);
            st = WEFT_E_NOTFOUND;
        }
    }
    for (uint32_t k = 0; k < f->n_out && k < FIXTURE_MAX; k++)
        if (!(f->out[k] = find_output(f->npz, k))) {
            printf("%s has no array out.%u.*\n", path, k);
            st = WEFT_E_NOTFOUND;
        }
out:
    if (st) fixture_finish(f);
    return st;
}

const char *const awaited_classes[] = { "Conv1DTranspose",    "Conv2DTranspose",
                                        "Conv3DTranspose",    "GroupNormalization",
                                        "LayerNormalization", "RMSNormalization",
                                        "UnitNormalization",  NULL };

int is_awaited(const char *error)
{
    static const char missing[] = "): no plugin has this class";
    const char *at = error;
    int found = 0;

    while ((at = strstr(at, missing))) {
        const char *name = at;
        int known = 0;

        while (name > error && name[-1] != '(')
            name--;
        for (size_t i = 0; awaited_classes[i]; i++)
            known |= strlen(awaited_classes[i]) == (size_t)(at - name) &&
                     !strncmp(awaited_classes[i], name, (size_t)(at - name));
        if (!known) return 0;
        found = 1;
        at += sizeof missing - 1;
    }
    return found;
}

void fixture_finish(fixture *f)
{
    weft_model_destroy(&f->model);
    weft_npz_destroy(&f->npz);
}

double array_difference(const weft_array *a, const weft_array *b)
{
    weft_array *p = NULL, *q = NULL;
    double worst = 0;

    if (weft_array_count(a) != weft_array_count(b)) return INFINITY;
    if (weft_array_convert(a, WEFT_F64, &p) || weft_array_convert(b, WEFT_F64, &q))
        worst = INFINITY;
    for (uint64_t i = 0; p && q && i < weft_array_count(a); i++) {
        double x = ((double *)p->data)[i], y = ((double *)q->data)[i];

        if (x == y || (isnan(x) && isnan(y))) continue;
        if (!(fabs(x - y) <= worst)) worst = isnan(x - y) ? INFINITY : fabs(x - y);
    }
    weft_array_destroy(&p);
    weft_array_destroy(&q);
    return worst;
}

double array_largest(const weft_array *a)
{
    weft_array *p = NULL;
    double largest = 0;

    if (weft_array_convert(a, WEFT_F64, &p)) return NAN;
    for (uint64_t i = 0; i < weft_array_count(a); i++)
        largest = fmax(largest, fabs(((double *)p->data)[i]));
    weft_array_destroy(&p);
    return largest;
}

static int same_shape(const weft_array *a, const weft_array *b)
{
    return a->spec.rank == b->spec.rank &&
           !memcmp(a->spec.dim, b->spec.dim, (size_t)a->spec.rank * sizeof *a->spec.dim);
}

/* Keras on JAX makes int32 of int64; the reference mode makes float64 of float32. */
static int same_dtype(const weft_array *got, const weft_array *want)
{
    weft_dtype g = got->spec.dtype, w = want->spec.dtype;

    return g == w || (g == WEFT_I64 && w == WEFT_I32) || (g == WEFT_F64 && w == WEFT_F32);
}

double fixture_run(const fixture *f, const char *device, const char *options)
{
    weft_session *s = NULL;
    weft_array *y[FIXTURE_MAX] = { NULL };
    double worst = 0;
    weft_status st = weft_session_create(f->model, device, options, &s);

    if (!st) st = weft_session_run(s, f->in, f->n_in, y, f->n_out);
    for (uint32_t k = 0; !st && k < f->n_out; k++) {
        double d = array_difference(y[k], f->out[k]) / fmax(array_largest(f->out[k]), 1e-30);

        if (!same_shape(y[k], f->out[k])) {
            printf("output %u has another shape than Keras's\n", k);
            d = INFINITY;
        }
        if (!same_dtype(y[k], f->out[k])) {
            printf("output %u is %s, Keras's is %s\n", k, weft_dtype_name(y[k]->spec.dtype),
                   weft_dtype_name(f->out[k]->spec.dtype));
            d = INFINITY;
        }
        worst = fmax(worst, d);
    }
    if (st) printf("%s: %s\n", device, weft_error());
    for (uint32_t k = 0; k < f->n_out; k++)
        weft_array_destroy(&y[k]);
    weft_session_destroy(&s);
    return st ? -1 : worst;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **names_list(const char *folder)
{
    char path[1024], **names = calloc(4096, sizeof *names);
    size_t n = 0;
    struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof path, "%s/%s", WEFT_TEST_DATA, folder);
    dir = opendir(path);
    while (dir && (e = readdir(dir)) && n < 4095) {
        size_t length = strlen(e->d_name);

        if (length < 7 || strcmp(e->d_name + length - 6, ".keras")) continue;
        names[n] = strdup(e->d_name);
        names[n++][length - 6] = 0;
    }
    if (dir) closedir(dir);
    qsort(names, n, sizeof *names, compare_names);
    return names;
}

void names_free(char **names)
{
    for (size_t i = 0; names[i]; i++)
        free(names[i]);
    free(names);
}

void devices_list(weft_context *ctx, devices *d)
{
    size_t n = 0;

    memset(d, 0, sizeof *d);
    for (uint32_t i = 0; i < weft_context_n_devices(ctx) && n < 15; i++) {
        weft_dev_info info = { .struct_size = sizeof info };
        const char *id;

        if (!weft_context_device(ctx, i, &id, &info) && info.usable)
            snprintf(d->id[n++], 64, "%s", id);
    }
}

size_t expectations_read(const char *file, expectation *list, size_t cap)
{
    char path[1024], line[1024];
    size_t n = 0;
    FILE *stream;

    snprintf(path, sizeof path, "%s/%s", WEFT_TEST_DATA, file);
    if (!(stream = fopen(path, "r"))) return 0;
    while (n < cap && fgets(line, sizeof line, stream)) {
        char *tab = strchr(line, '\t');

        line[strcspn(line, "\n")] = 0;
        if (!tab || *line == '#') continue;
        *tab = 0;
        snprintf(list[n].name, sizeof list[n].name, "%.255s", line);
        snprintf(list[n++].words, sizeof list[0].words, "%.511s", tab + 1);
    }
    fclose(stream);
    return n;
}

/* strcasestr, which is no standard function. */
static int holds(const char *text, const char *word, size_t n)
{
    for (; *text; text++) {
        size_t i = 0;

        while (i < n && tolower((unsigned char)text[i]) == tolower((unsigned char)word[i]))
            i++;
        if (i == n) return 1;
    }
    return n == 0;
}

int holds_words(const char *text, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, "|");

        if (!holds(text, words, n)) return 0;
        words += n + (words[n] == '|');
    }
    return 1;
}
