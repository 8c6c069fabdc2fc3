/* Is a plugin what it says, and complete? Everything is looked at once, when it is loaded, so that
 * no code behind has to ask. Failures are the reasons that the report shows. */
#include <string.h>
#include "base/attrs.h"
#include "base/fail.h"
#include "registry/internal.h"

/* Size of a struct that ends with FIELD, as it was in the first minor of this major. */
#define SIZE_TO(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

/* What `needs` may name: features of this library, with the versions that it has. */
static const struct feature {
    const char *name;
    int major, minor;
} features[] = { { "op", 1, 0 }, { "map", 1, 0 } };
enum { N_FEATURES = sizeof features / sizeof *features };

/* "op", "op/1" or "op/1.0", n bytes of it. */
static int has_feature(const char *text, size_t n)
{
    for (size_t i = 0; i < N_FEATURES; i++) {
        size_t len = strlen(features[i].name);
        int major = features[i].major, minor = 0;
        char version[32];
        if (n < len || memcmp(text, features[i].name, len)) continue;
        if (n == len) return 1;
        if (text[len] != '/' || n - len >= sizeof version) continue;
        memcpy(version, text + len + 1, n - len - 1);
        version[n - len - 1] = 0;
        if (sscanf(version, "%9d.%9d", &major, &minor) < 1) return 0;
        return major == features[i].major && minor <= features[i].minor;
    }
    return 0;
}

static weft_status check_needs(const char *needs)
{
    for (const char *at = needs; at && *at;) {
        size_t n = strcspn(at, " ");
        if (n && !has_feature(at, n)) {
            weft__text have = { 0 };
            for (size_t i = 0; i < N_FEATURES; i++)
                weft__text_add(&have, "%s%s/%d.%d", i ? " " : "", features[i].name,
                               features[i].major, features[i].minor);
            weft_status st =
                weft_fail(WEFT_E_ABI,
                          "it needs \"%.*s\", which weft %s does not have (it has %s): use a "
                          "newer libweft",
                          (int)(n < 80 ? n : 80), at, weft_version(), have.s ? have.s : "");
            weft__text_finish(&have);
            return st;
        }
        at += n;
        while (*at == ' ')
            at++;
    }
    return WEFT_OK;
}

weft_status weft__plugin_check_head(const weft_plugin *p)
{
    if (p->magic != WEFT_MAGIC)
        return weft_fail(
            WEFT_E_ABI,
            "its weft_plugin_v1 begins with %08x, not with WEFT_MAGIC: define it by WEFT_PLUGIN or "
            "WEFT_LAYER of <weft/plugin.h>",
            (unsigned)p->magic);
    if (p->abi_major != WEFT_ABI_MAJOR)
        return weft_fail(
            WEFT_E_ABI,
            "was built for plugin ABI %u.%u; weft %s speaks ABI %d.%d: rebuild it against this "
            "<weft/plugin.h>",
            (unsigned)p->abi_major, (unsigned)p->abi_minor, weft_version(), WEFT_ABI_MAJOR,
            WEFT_ABI_MINOR);
    if (p->struct_size < SIZE_TO(weft_plugin, ext))
        return weft_fail(
            WEFT_E_ABI,
            "its weft_plugin has %u bytes, at least %zu are needed: rebuild it against this "
            "<weft/plugin.h>",
            (unsigned)p->struct_size, SIZE_TO(weft_plugin, ext));
    if (!p->abi_tag || strcmp(p->abi_tag, WEFT_ABI_TAG))
        return weft_fail(WEFT_E_ABI,
                         "was built for another kind of machine (%s, this is %s): rebuild it here",
                         p->abi_tag ? p->abi_tag : "no tag", WEFT_ABI_TAG);
    if (!p->name || !weft__is_word(p->name))
        return weft_fail(WEFT_E_ABI,
                         "its name \"%s\" is no name: letters, digits, _ and . are possible",
                         p->name ? p->name : "");
    return check_needs(p->needs);
}

static weft_status check_size(const char *what, uint32_t size, size_t least)
{
    if (size >= least) return WEFT_OK;
    return weft_fail(WEFT_E_ABI, "%s has struct_size %u, at least %zu is needed", what,
                     (unsigned)size, least);
}

static weft_status check_name(const char *kind, const char *name)
{
    if (name && weft__is_word(name)) return WEFT_OK;
    return weft_fail(WEFT_E_ABI,
                     "a %s named \"%s\": letters, digits, _ and . are possible in a name", kind,
                     name ? name : "");
}

static weft_status check_kernel(const char *what, const weft_ext *kernel)
{
    weft_status st;
    if (!kernel->data)
        return weft_fail(WEFT_E_ABI, "%s has a kernel %s without data", what, kernel->id);
    if (!strcmp(kernel->id, WEFT_KERNEL_CPU)) {
        const weft_cpu_kernel *k = kernel->data;
        if ((st = check_size(what, k->struct_size, SIZE_TO(weft_cpu_kernel, run)))) return st;
        if (!k->run) return weft_fail(WEFT_E_ABI, "%s has a cpu kernel without run()", what);
    } else if (!strcmp(kernel->id, WEFT_KERNEL_OPENCL)) {
        const weft_cl_kernel *k = kernel->data;
        if ((st = check_size(what, k->struct_size, SIZE_TO(weft_cl_kernel, enqueue)))) return st;
        if (!k->enqueue && !(k->source && k->kernel))
            return weft_fail(WEFT_E_ABI,
                             "%s has an opencl kernel without source and kernel name, or enqueue()",
                             what);
    }
    return WEFT_OK;
}

static weft_status check_op(const weft_op_class *op)
{
    char what[128];
    weft_status st;
    snprintf(what, sizeof what, "op %.100s", op->struct_size >= 24 && op->name ? op->name : "?");
    if ((st = check_size(what, op->struct_size, SIZE_TO(weft_op_class, doc)))) return st;
    if ((st = check_name("op", op->name))) return st;
    if (!op->lower && !(op->kernels && op->kernels->id))
        return weft_fail(WEFT_E_ABI, "%s has neither lower() nor kernels", what);
    if (!op->inputs || !op->outputs)
        return weft_fail(WEFT_E_ABI, "%s does not say its inputs and outputs", what);
    if (!op->outputs[strspn(op->outputs, " ")])
        return weft_fail(WEFT_E_ABI, "%s has no outputs; an op has at least one, as in \"y\"",
                         what);
    if (!op->infer && !op->lower)
        return weft_fail(WEFT_E_ABI, "%s has neither infer() nor lower()", what);
    for (const weft_ext *k = op->kernels; k && k->id; k++)
        if ((st = check_kernel(what, k))) return st;
    return weft__schema_check(op->attrs, what);
}

static weft_status check_layer(const weft_layer_class *layer)
{
    char what[128];
    weft_status st;
    snprintf(what, sizeof what, "layer class %.100s",
             layer->struct_size >= 24 && layer->name ? layer->name : "?");
    if ((st = check_size(what, layer->struct_size, SIZE_TO(weft_layer_class, doc)))) return st;
    if ((st = check_name("layer class", layer->name))) return st;
    if (!layer->build) return weft_fail(WEFT_E_ABI, "%s has no build()", what);
    if (!layer->inputs || !layer->outputs)
        return weft_fail(WEFT_E_ABI, "%s does not say its inputs and outputs", what);
    return weft__schema_check(layer->attrs, what);
}

static weft_status check_backend(const weft_backend *b)
{
    weft_status st = check_size("a backend", b->struct_size, SIZE_TO(weft_backend, services));
    if (st || (st = check_name("backend", b->id))) return st;
    if (!b->kernel_ids || !b->probe || !b->info || !b->open || !b->close || !b->alloc ||
        !b->release || !b->write || !b->read || !b->finish || !b->supports || !b->compile ||
        !b->run || !b->release_exe)
        return weft_fail(WEFT_E_ABI,
                         "backend %s lacks a function: only wrap, builds and extension may be NULL",
                         b->id);
    return WEFT_OK;
}

static weft_status check_format(const weft_format *f)
{
    weft_status st = check_size("a format", f->struct_size, SIZE_TO(weft_format, write));
    if (st || (st = check_name("format", f->name))) return st;
    if (!f->extensions || !f->probe || !(f->read || f->write))
        return weft_fail(
            WEFT_E_ABI, "format %s lacks extensions, probe(), or both read() and write()", f->name);
    return WEFT_OK;
}

weft_status weft__plugin_check(const weft_plugin *p)
{
    weft_status st;
    for (const weft_op_class *const *op = p->ops; op && *op; op++)
        if ((st = check_op(*op))) return st;
    for (const weft_layer_class *const *layer = p->layers; layer && *layer; layer++)
        if ((st = check_layer(*layer))) return st;
    for (const weft_backend *const *backend = p->backends; backend && *backend; backend++)
        if ((st = check_backend(*backend))) return st;
    for (const weft_format *const *format = p->formats; format && *format; format++)
        if ((st = check_format(*format))) return st;
    return WEFT_OK;
}
