/* Models in files: finds the format by the file's first bytes, or for a new file by its extension.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "base/alloc.h"
#include "base/fail.h"
#include "base/file.h"
#include "model/parts.h"
#include "registry/registry.h"

enum { HEAD = 4096 };

/* "keras (.keras .h5), onnx (.onnx)" */
static void list_formats(const weft_context *ctx, int writers, weft__text *text)
{
    const char *comma = "";
    for (uint32_t i = 0; i < weft__n_formats(ctx); i++) {
        const weft_format *f = weft__format(ctx, i);
        if (writers && !WEFT_HAS(f, write)) continue;
        weft__text_add(text, "%s%s (%s)", comma, f->name, f->extensions ? f->extensions : "");
        comma = ", ";
    }
    if (!*comma)
        weft__text_add(text, "none: no plugin %s was found",
                       writers ? "that writes files" : "with formats");
}

/* Is the path's end one of the words of `extensions`? The longest that fits counts. */
static size_t extension_fits(const weft_format *format, const char *path)
{
    size_t best = 0, len = strlen(path);
    const char *word = format->extensions ? format->extensions : "";
    while (*word) {
        size_t n = strcspn(word, " ");
        if (n > best && n < len && strncasecmp(path + len - n, word, n) == 0) best = n;
        word += n + strspn(word + n, " ");
    }
    return best;
}

static weft_status read_head(const char *path, char *head, size_t *n)
{
    struct stat info;
    if (stat(path, &info) != 0) {
        int missing = errno == ENOENT || errno == ENOTDIR;
        return weft_fail(missing ? WEFT_E_NOTFOUND : WEFT_E_IO,
                         missing ? "%s: there is no such file" : "%s: it cannot be read: %s", path,
                         strerror(errno));
    }
    if (S_ISDIR(info.st_mode))
        return weft_fail(
            WEFT_E_IO,
            "%s is a directory; give the model's file, or zip an unpacked .keras folder again",
            path);
    if (!S_ISREG(info.st_mode)) return weft_fail(WEFT_E_IO, "%s is not a regular file", path);
    FILE *file = fopen(path, "rb");
    if (!file) return weft_fail(WEFT_E_IO, "%s cannot be opened: %s", path, strerror(errno));
    *n = fread(head, 1, HEAD, file);
    int bad = ferror(file);
    fclose(file);
    if (bad) return weft_fail(WEFT_E_IO, "%s cannot be read", path);
    return *n ? WEFT_OK : weft_fail(WEFT_E_IO, "%s is empty", path);
}

static weft_status find_reader(const weft_context *ctx, const char *path,
                               const weft_format **format)
{
    char head[HEAD];
    size_t n = 0, extension = 0;
    int sure = 0;
    weft_status st = read_head(path, head, &n);
    if (st) return st;
    for (uint32_t i = 0; i < weft__n_formats(ctx); i++) {
        const weft_format *f = weft__format(ctx, i);
        size_t fits = extension_fits(f, path);
        int s = WEFT_HAS(f, probe) && WEFT_HAS(f, read) ? f->probe(head, n, path) : 0;
        if (s <= 0 || s < sure || (s == sure && fits <= extension)) continue;
        *format = f;
        sure = s;
        extension = fits;
    }
    if (*format) return WEFT_OK;
    if (n >= 4 && !memcmp(head, "\x89HDF", 4))
        return weft_fail(WEFT_E_UNSUPPORTED,
                         "%s is an HDF5 file (Keras 2's .h5, or weights alone); "
                         "open it in Keras 3 and save the model as .keras",
                         path);
    weft__text known = { 0 };
    list_formats(ctx, 0, &known);
    weft__tell_refused(ctx, "; ", &known);
    st = known.failed ? WEFT_E_NOMEM
                      : weft_fail(WEFT_E_UNSUPPORTED, "%s: no format knows this file; there are %s",
                                  path, known.s);
    weft__text_finish(&known);
    return st;
}

/* "model" of "/tmp/model.keras": the name until the file gives another. */
static char *stem(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strcspn(name, ".");
    char *s = n && n < 256 ? weft__strndup(name, n) : weft__strdup("model");
    for (char *p = s; p && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '_';
    return s;
}

static weft_status read_model(const weft_format *format, const char *path, weft_model *model)
{
    model->loading = 1;
    weft_status st = format->read(&model->api, model, path, NULL);
    if (st == WEFT_OK) st = weft__model_conclude(model);
    if (st == WEFT_OK) st = weft__model_ready(model);
    model->loading = 0;
    return st;
}

/* Puts the path in front of an error's text, unless the format named it itself. */
static weft_status with_path(const char *path, weft_status st)
{
    weft__text text = { 0 };
    if (st == WEFT_OK || strstr(weft_error(), path)) return st;
    weft__text_add(&text, "%s: %s", path, weft_error());
    if (!text.failed) weft__fail_text(st, text.s);
    weft__text_finish(&text);
    return st;
}

weft_status weft_model_load(weft_context *ctx, const char *path, weft_model **model)
{
    const weft_format *format = NULL;
    weft_model *m = NULL;
    if (!ctx || !path || !model)
        return weft_fail(WEFT_E_ARG,
                         "weft_model_load needs a context, a path, and somewhere to put the model");
    *model = NULL;
    weft_status st = find_reader(ctx, path, &format);
    if (st) return st;
    char *name = stem(path);
    st = name ? weft_model_create(ctx, name, &m) : WEFT_E_NOMEM;
    weft__free(name);
    if (st) return st;
    st = with_path(path, read_model(format, path, m));
    if (st) {
        weft_model_destroy(&m);
        return st;
    }
    *model = m;
    return WEFT_OK;
}

static weft_status find_writer(const weft_context *ctx, const char *path,
                               const weft_format **format)
{
    const weft_format *found = NULL;
    size_t best = 0;
    weft__text known = { 0 };
    for (uint32_t i = 0; i < weft__n_formats(ctx); i++) {
        size_t fits = extension_fits(weft__format(ctx, i), path);
        if (fits > best) {
            best = fits;
            found = weft__format(ctx, i);
        }
    }
    if (found && WEFT_HAS(found, write)) {
        *format = found;
        return WEFT_OK;
    }
    list_formats(ctx, 1, &known);
    weft_status st =
        found ? weft_fail(WEFT_E_UNSUPPORTED,
                          "%s: format %s can be read, not written; formats that are written: %s",
                          path, found->name, known.s ? known.s : "")
              : weft_fail(WEFT_E_UNSUPPORTED,
                          "%s: no format has this extension; formats that are written: %s", path,
                          known.s ? known.s : "");
    weft__text_finish(&known);
    return st;
}

/* The format, and the new file beside the old one. */
static weft_status open_new(const weft_context *ctx, const char *path, const weft_format **format,
                            weft__file **file)
{
    weft_status st = find_writer(ctx, path, format);
    return st ? st : weft__file_create(path, file);
}

weft_status weft_model_check_path(weft_context *ctx, const char *path)
{
    const weft_format *format = NULL;
    weft__file *file = NULL;
    if (!ctx || !path)
        return weft_fail(WEFT_E_ARG, "weft_model_check_path needs a context and a path");
    weft_status st = open_new(ctx, path, &format, &file);
    weft__file_discard(&file);
    return st;
}

/* All weights of one moment: sessions may train the model meanwhile. */
static weft_status write_model(const weft_format *format, const char *path, const weft_model *model)
{
    weft__snapshot snapshot;
    weft_status st = weft__snapshot_begin(model, &snapshot);
    if (st) return st;
    st = format->write(&model->api, model, path, NULL);
    weft__snapshot_end(&snapshot);
    return st;
}

weft_status weft_model_save(const weft_model *model, const char *path)
{
    const weft_format *format = NULL;
    weft__file *file = NULL;
    if (!model || !path) return weft_fail(WEFT_E_ARG, "weft_model_save needs a model and a path");
    if (!model->finished)
        return weft_fail(WEFT_E_ARG,
                         "model \"%s\" is not finished; end it with weft_model_finish()",
                         model->name);
    weft_status st = open_new(model->ctx, path, &format, &file);
    if (st) return st;
    fclose(file->stream);
    file->stream = NULL;
    st = with_path(path, write_model(format, file->temporary, model));
    if (st == WEFT_OK) return weft__file_commit(&file);
    weft__file_discard(&file);
    return st;
}
