/* The plugin "keras": reads and writes .keras files. */
#include <stdarg.h>
#include <string.h>
#include "keras.h"

weft_status keras_fail(const keras_file *f, weft_status status, const char *format, ...)
{
    char text[2048];
    int at = f->path ? snprintf(text, sizeof text, "%.400s: ", f->path) : 0;
    va_list ap;

    va_start(ap, format);
    vsnprintf(text + at, sizeof text - (size_t)at, format, ap);
    va_end(ap);
    return f->api->host->fail(f->api->host, status, text);
}

void *keras_alloc(const keras_file *f, size_t n, size_t size)
{
    const weft_host *host = f->api->host;
    void *memory = size && n > SIZE_MAX / size ? NULL : host->alloc(host, n * size, 16);

    if (memory) memset(memory, 0, n * size);
    return memory;
}

void keras_free(const keras_file *f, void *memory)
{
    f->api->host->release(f->api->host, memory);
}

static int probe(const void *head, size_t n, const char *path)
{
    const char *dot = strrchr(path, '.');
    int named = dot && !strcmp(dot, ".keras");

    return n >= 4 && !memcmp(head, "PK\3\4", 4) ? (named ? 100 : 60) : named ? 50 : 0;
}

/* The model object: a Functional or Sequential with a config. */
static weft_status check_root(const keras_file *f)
{
    const char *class_name = keras_string(f->config, "class_name");

    if (!json_is_object(f->config) || !class_name ||
        !json_is_object(json_object_get(f->config, "config")))
        return keras_fail(f, WEFT_E_UNTRUSTED,
                          "config.json is no Keras model: it has no class_name or no config");
    if (!keras_is_model(class_name))
        return keras_fail(
            f, WEFT_E_UNSUPPORTED,
            "the model is of class %.100s; Functional and Sequential models are read (a "
            "subclassed model is Python code: build it again by the functional API)",
            class_name);
    return WEFT_OK;
}

static weft_status read(const weft_model_api *api, weft_model *model, const char *path,
                        const char *options)
{
    size_t n_missing = 0;
    keras_file f = { .api = api, .root = model, .path = path };
    weft_status st;

    (void)options;
    if ((st = keras_archive_read(&f)) || (st = check_root(&f))) goto out;
    if ((st = keras_check_classes(&f, f.config, "", 0, &n_missing))) goto out;
    if (n_missing) {
        st = api->finish(model);
        goto out;
    }
    if ((st = keras_build(&f, f.config, model, 0)) || (st = keras_training_read(&f))) goto out;
    st = keras_weights_read(&f, model);
out:
    json_decref(f.config);
    keras_free(&f, f.weights);
    return st;
}

static const weft_format format = {
    .struct_size = sizeof format,
    .name = "keras",
    .extensions = ".keras",
    .doc = "models of Keras 3: Functional and Sequential, nested and shared",
    .probe = probe,
    .read = read,
    .write = keras_write,
};
static const weft_format *const formats[] = { &format, NULL };

WEFT_PLUGIN(keras, .version = "0.1.0", .author = "the Weft authors", .license = "Apache-2.0",
            .formats = formats);
