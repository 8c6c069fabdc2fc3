/* Writes a .keras file: metadata.json, config.json and model.weights.h5, stored, as Keras does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zip.h>
#include "keras.h"

/* What metadata.json says; Keras opens a file whatever it says. */
#define KERAS_VERSION "3.0.0"

typedef struct parts {
    char *metadata, *config;
    keras_image weights;
} parts;

static char *metadata_text(const weft_host *host)
{
    time_t now = time(NULL);
    struct tm tm;
    char date[64] = "";
    json_t *v;
    char *text;

    if (gmtime_r(&now, &tm)) strftime(date, sizeof date, "%Y-%m-%d@%H:%M:%S", &tm);
    v = json_pack("{s:s,s:s,s:s}", "keras_version", KERAS_VERSION, "date_saved", date,
                  "weft_version", host->version);
    text = json_dumps(v, 0);
    json_decref(v);
    return text;
}

void keras_write_warn(const keras_writer *w, const weft_model *m, const char *what)
{
    const weft_host *host = w->f.api->host;
    char text[2048];

    snprintf(text, sizeof text, "saving model \"%.200s\": %.1700s", w->f.api->name(m), what);
    host->log(host, WEFT_LOG_WARN, text);
}

static void warn_foreign(const keras_writer *w, const weft_model *m)
{
    char text[1800];

    if (!w->foreign.n) return;
    snprintf(text, sizeof text,
             "classes that are not Keras's own: %.1400s; to open the file, Keras needs Python "
             "classes of these names: keras.models.load_model(path, custom_objects={..})",
             w->foreign.s);
    keras_write_warn(w, m, text);
}

static weft_status config_text(keras_writer *w, const weft_model *m, char **text)
{
    json_t *root = keras_model_json(w, m, w->f.api->name(m), 0), *names = NULL;

    if (root) names = keras_output_names(&w->f, m);
    if (names && json_is_array(names)) {
        keras_write_warn(
            w, m,
            "its outputs are named in an order other than the alphabet's, which Keras cannot "
            "keep: Keras gives them as a list in their order");
        if (json_object_set_new(root, "weft", json_pack("{s:O}", "outputs", names)))
            w->status = keras_fail(&w->f, WEFT_E_NOMEM, "no memory for config.json");
    }
    if (names && !json_object_set_new(root, "compile_config", keras_training_json(w, m)) &&
        !w->status)
        *text = json_dumps(root, JSON_REAL_PRECISION(17));
    json_decref(names);
    json_decref(root);
    if (*text && strlen(*text) > KERAS_MAX_CONFIG)
        return keras_fail(&w->f, WEFT_E_UNSUPPORTED,
                          "config.json would have %zu bytes; at most %u are read again: hold "
                          "large constants in variables",
                          strlen(*text), KERAS_MAX_CONFIG);
    if (*text) return WEFT_OK;
    return w->status ? w->status : keras_fail(&w->f, WEFT_E_NOMEM, "no memory for config.json");
}

static weft_status fail_zip(const keras_writer *w, zip_t *zip)
{
    return keras_fail(&w->f, WEFT_E_IO, "cannot be written: %s", zip_strerror(zip));
}

static weft_status add(const keras_writer *w, zip_t *zip, const char *name, const void *bytes,
                       size_t n)
{
    zip_source_t *source = zip_source_buffer(zip, bytes, n, 0);
    zip_int64_t at = source ? zip_file_add(zip, name, source, ZIP_FL_ENC_UTF_8) : -1;

    if (source && at < 0) zip_source_free(source);
    if (at < 0 || zip_set_file_compression(zip, (zip_uint64_t)at, ZIP_CM_STORE, 0))
        return fail_zip(w, zip);
    return WEFT_OK;
}

static weft_status write_zip(const keras_writer *w, const char *path, const parts *p)
{
    zip_error_t error;
    int code = 0;
    zip_t *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    weft_status st;

    if (!zip) {
        zip_error_init_with_code(&error, code);
        st = keras_fail(&w->f, WEFT_E_IO, "cannot be written: %s", zip_error_strerror(&error));
        zip_error_fini(&error);
        return st;
    }
    if ((st = add(w, zip, "metadata.json", p->metadata, strlen(p->metadata))) ||
        (st = add(w, zip, "config.json", p->config, strlen(p->config))) ||
        (st = add(w, zip, "model.weights.h5", p->weights.bytes, p->weights.n)))
        goto out;
    if (zip_close(zip))
        st = fail_zip(w, zip);
    else
        zip = NULL;
out:
    if (zip) zip_discard(zip);
    return st;
}

weft_status keras_write(const weft_model_api *api, const weft_model *model, const char *path,
                        const char *options)
{
    keras_writer w = { .f = { .api = api } };
    parts p = { 0 };
    weft_status st;

    (void)options;
    w.foreign.f = &w.f;
    if ((st = config_text(&w, model, &p.config))) goto out;
    if (!(p.metadata = metadata_text(api->host))) {
        st = keras_fail(&w.f, WEFT_E_NOMEM, "no memory for metadata.json");
        goto out;
    }
    if ((st = keras_image_write(&w.f, model, &p.weights)) || (st = write_zip(&w, path, &p)))
        goto out;
    warn_foreign(&w, model);
out:
    keras_image_close(&p.weights);
    free(p.metadata);
    free(p.config);
    keras_text_free(&w.foreign);
    return st;
}
